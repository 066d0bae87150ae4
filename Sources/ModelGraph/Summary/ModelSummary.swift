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

    /// One tensor of the model.
    public struct NamedShape: Sendable, Equatable, Codable {
        public let name: String
        public let shape: [Int]
    }

    /// Some of the model's tensors, in its order.
    public struct TensorList: Sendable, Equatable, Codable {
        /// Numbers in all of them.
        public let elements: Int
        public let tensors: [NamedShape]
    }

    /// Nodes of one operator of which the same is to be said.
    public struct NodeGroup: Sendable, Equatable, Codable {
        public let `operator`: String
        public let reason: String
        public let nodes: [String]
    }

    /// Bytes of the values that nodes compute, at the stated batch. Values that only rename others take none.
    public struct ActivationBytes: Sendable, Equatable, Codable {
        /// The most that lives at one time in a forward pass in file order: a node's inputs, its outputs, and what later
        /// nodes read.
        public let peak: Int
        /// What a training step keeps for its backward pass.
        public let training: Int
    }

    /// Trainable numbers; in a quantized model its integer weights and biases too. Running statistics and scales do not count.
    public let parameters: Int
    public let nonzeroParameters: Int
    /// Multiply-accumulates of convolutions, matrix products, recurrent layers and attention at the stated batch; nil where
    /// shapes are not known (`missing` says why).
    public let macs: Int?
    /// Size of the file, with its external data.
    public let bytes: Int
    /// Whether tensors lie in files beside the model's.
    public let external: Bool
    public let opset: Int64
    /// How many nodes of each operator.
    public let operators: [String: Int]
    public let inputs: [Value]
    public let outputs: [Value]
    public let trainable: TensorList
    /// Running means and variances.
    public let statistics: TensorList
    /// What pruning may mask.
    public let prunable: TensorList
    /// What stays float32 when the model is quantized.
    public let notQuantizable: [NodeGroup]
    /// What the engine cannot run; empty when the caller gave no table of supported operators.
    public let unsupportedOperators: [NodeGroup]
    public let batch: Int
    /// nil as `macs`.
    public let activationBytes: ActivationBytes?
    /// Why figures are left out, a sentence each.
    public let missing: [String]

    /// Indented JSON with sorted keys, the same bytes for equal summaries.
    public func encodedJSON() -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
        do { return [UInt8](try encoder.encode(self)) } catch {
            preconditionFailure("cannot encode a summary of integers and strings: \(error)")
        }
    }
}

extension ValueInfo {
    var summary: ModelSummary.Value {
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
    var nonzeroCount: Int {
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
