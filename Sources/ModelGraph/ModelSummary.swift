import FoundationEssentials
import Tensors

/// What `pleach model inspect` tells about a model.
public struct ModelSummary: Sendable, Equatable, Codable {
    /// A declared input or output.
    public struct Value: Sendable, Equatable, Codable, CustomStringConvertible {
        public let name: String
        public let type: String
        /// nil when the file declares none; symbolic axes such as the batch by name, unknown ones as "?".
        public let shape: [Extent]?

        public var description: String {
            "\(name) \(type)" + (shape.map { "[" + $0.map(\.description).joined(separator: ", ") + "]" } ?? "")
        }
    }

    /// One axis: a number in JSON when fixed, else a name.
    public enum Extent: Sendable, Equatable, Codable, CustomStringConvertible {
        case fixed(Int)
        case named(String)

        public init(from decoder: any Decoder) throws {
            let container = try decoder.singleValueContainer()
            if let extent = try? container.decode(Int.self) {
                self = .fixed(extent)
            } else {
                self = .named(try container.decode(String.self))
            }
        }

        public func encode(to encoder: any Encoder) throws {
            var container = encoder.singleValueContainer()
            switch self {
            case .fixed(let extent): try container.encode(extent)
            case .named(let name): try container.encode(name)
            }
        }

        public var description: String {
            switch self {
            case .fixed(let extent): "\(extent)"
            case .named(let name): name
            }
        }
    }

    /// Trainable numbers; in a quantized model its integer weights and biases too. Running statistics and scales do not count.
    public let parameters: Int
    public let nonzeroParameters: Int
    /// Multiply-accumulates of Conv, Gemm and MatMul for one sample.
    public let macs: Int
    /// Size of the file.
    public let bytes: Int
    public let opset: Int64
    /// How many nodes of each operator.
    public let operators: [String: Int]
    public let inputs: [Value]
    public let outputs: [Value]

    /// Indented JSON with sorted keys, the same bytes for equal summaries.
    public func encodedJSON() -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
        do { return [UInt8](try encoder.encode(self)) } catch {
            preconditionFailure("cannot encode a summary of integers and strings: \(error)")
        }
    }
}

extension Graph {
    /// Counts parameters, multiply-accumulates for batch 1 and operators. `fileBytes` is the size of the model's file.
    /// - Throws: as `inferShapes`.
    public func summary(fileBytes: Int) throws(ModelError) -> ModelSummary {
        var counted = trainableNames
        for node in nodes where node.operatorType == "DequantizeLinear" {
            guard let name = node.inputs.first, let tensor = initializers[name], !tensor.elementType.isFloatingPoint,
                !counted.contains(name)
            else { continue }
            counted.append(name)
        }
        var (count, nonzero) = (0, 0)
        for name in counted {
            guard let tensor = initializers[name] else { continue }
            count += tensor.elementCount
            nonzero += tensor.nonzeroCount
        }
        return ModelSummary(
            parameters: count, nonzeroParameters: nonzero, macs: try multiplyAccumulates(), bytes: fileBytes,
            opset: opset, operators: Dictionary(nodes.map { ($0.operatorType, 1) }, uniquingKeysWith: +),
            inputs: inputs.map(\.summary), outputs: outputs.map(\.summary))
    }

    /// Multiply-accumulates of one forward pass at batch 1.
    private func multiplyAccumulates() throws(ModelError) -> Int {
        let shapes = try inferShapes(batch: 1)
        var total = 0
        for node in nodes where node.inputs.count >= 2 {
            guard let output = node.outputs.first.flatMap({ shapes[$0] }), let a = shapes[node.inputs[0]],
                let b = shapes[node.inputs[1]]
            else { continue }
            let perOutput: Int
            switch node.operatorType {
            case "Conv": perOutput = b.dimensions.dropFirst().reduce(1, *)
            case "Gemm": perOutput = node.int("transA") ?? 0 != 0 ? a[0] : a[1]
            case "MatMul": perOutput = a[a.rank - 1]
            default: continue
            }
            let (product, overflow) = output.elementCount.multipliedReportingOverflow(by: perOutput)
            let (sum, overflowedSum) = total.addingReportingOverflow(product)
            guard !overflow, !overflowedSum else {
                throw .invalidRequest("the multiply-accumulates of node '\(node.name)' exceed 63 bits")
            }
            total = sum
        }
        return total
    }
}

extension ValueInfo {
    fileprivate var summary: ModelSummary.Value {
        let extents = dimensions?.map { dimension -> ModelSummary.Extent in
            switch dimension {
            case .fixed(let extent): .fixed(extent)
            case .symbolic(let symbol): .named(symbol)
            case .unknown: .named("?")
            }
        }
        return ModelSummary.Value(name: name, type: "\(elementType)", shape: extents)
    }
}

extension Tensor {
    /// How many elements differ from zero; -0.0 is zero.
    fileprivate var nonzeroCount: Int {
        switch elementType {
        case .float32: withElements(as: Float.self) { $0.reduce(0) { $0 + ($1 != 0 ? 1 : 0) } }
        case .int8, .uint8, .bool: bytes.reduce(0) { $0 + ($1 != 0 ? 1 : 0) }
        case .int32: withElements(as: Int32.self) { $0.reduce(0) { $0 + ($1 != 0 ? 1 : 0) } }
        case .int16: withElements(as: Int16.self) { $0.reduce(0) { $0 + ($1 != 0 ? 1 : 0) } }
        case .int64: withElements(as: Int64.self) { $0.reduce(0) { $0 + ($1 != 0 ? 1 : 0) } }
        case .float16, .bfloat16, .float64:
            convertedToFloat32().withElements(as: Float.self) { $0.reduce(0) { $0 + ($1 != 0 ? 1 : 0) } }
        }
    }
}
