import Foundation
import ModelGraph
import Tensors

/// Files that lie beside the project; tests that need them are skipped where they are missing.
enum Fixtures {
    /// The folder above $PLEACH_DATA, or `../shared` seen from the project.
    static let shared: String = {
        if let data = ProcessInfo.processInfo.environment["PLEACH_DATA"], !data.isEmpty {
            return URL(fileURLWithPath: data).deletingLastPathComponent().path
        }
        var root = URL(fileURLWithPath: #filePath)
        for _ in 0..<4 { root.deleteLastPathComponent() }
        return root.appendingPathComponent("shared").path
    }()

    static let names = [
        "parity/cnn", "parity/resnet8", "parity/tinybert", "models/cnn-mnist", "models/resnet20-cifar10",
        "models/teacher-mnist", "models/teacher-cifar10",
    ]

    static let areThere = names.allSatisfy { FileBytes.exists(path($0)) }

    static func path(_ name: String) -> String { "\(shared)/\(name).onnx" }

    static func graph(_ name: String) throws -> Graph { try Graph.load(path: path(name)) }
}

/// A small graph written in source: nodes over one input `x` and one output `y`.
func smallGraph(
    _ nodes: [Node], _ initializers: [(String, Tensor)] = [], input: [Int] = [2, 4, 4], opset: Int64 = 17,
    output: String = "y"
) -> Graph {
    Graph(
        name: "small", nodes: nodes,
        inputs: [
            ValueInfo(name: "x", elementType: .float32, dimensions: [.symbolic("batch")] + input.map(Dimension.fixed))
        ],
        outputs: [ValueInfo(name: output, elementType: .float32, dimensions: nil)],
        initializers: NamedTensors(initializers), opset: opset)
}

func node(
    _ type: String, _ inputs: [String], _ outputs: [String], _ attributes: [String: AttributeValue] = [:]
) -> Node {
    Node(
        name: "\(outputs.first ?? "none")_node", operatorType: type, inputs: inputs, outputs: outputs,
        attributes: attributes)
}

/// A float32 tensor; the name spares literals a type.
func floatTensor(_ values: [Float], shape: Shape) -> Tensor { Tensor(values, shape: shape) }

/// A float32 tensor whose elements count up in steps of a tenth.
func ramp(_ shape: Shape) -> Tensor { Tensor((0..<shape.elementCount).map { Float($0) / 10 - 1 }, shape: shape) }

/// Loads and expects a failure, which it describes.
func loadFailure(_ bytes: [UInt8]) -> String? {
    do throws(ModelError) {
        _ = try Graph.load(bytes, path: "test.onnx")
        return nil
    } catch { return error.description }
}

/// Protocol buffer bytes written by hand, so that files our own writer would never produce can be tested.
enum Wire {
    static func varint(_ value: UInt64) -> [UInt8] {
        var (rest, bytes) = (value, [UInt8]())
        while rest >= 0x80 {
            bytes.append(UInt8(rest & 0x7f) | 0x80)
            rest >>= 7
        }
        return bytes + [UInt8(rest)]
    }

    static func field(_ number: UInt64, _ value: Int64) -> [UInt8] {
        varint(number << 3) + varint(UInt64(bitPattern: value))
    }

    static func field(_ number: UInt64, _ bytes: [UInt8]) -> [UInt8] {
        varint(number << 3 | 2) + varint(UInt64(bytes.count)) + bytes
    }

    static func field(_ number: UInt64, _ text: String) -> [UInt8] { field(number, Array(text.utf8)) }

    /// A model whose graph has input x, output y and these extra graph fields.
    static func model(_ graphFields: [UInt8], opset: Int64 = 17, modelFields: [UInt8] = []) -> [UInt8] {
        let type = field(2, field(1, field(1, 1)))
        let graph = field(2, "g") + graphFields + field(11, field(1, "x") + type) + field(12, field(1, "y") + type)
        return field(1, 8) + field(7, graph) + field(8, field(2, opset)) + modelFields
    }

    static func node(_ type: String, _ inputs: [String], _ outputs: [String], extra: [UInt8] = []) -> [UInt8] {
        let names = inputs.flatMap { field(1, $0) } + outputs.flatMap { field(2, $0) }
        return field(1, names + field(4, type) + extra)
    }

    /// An initializer: dims, data type and further fields such as 9 (raw_data) or 4 (float_data).
    static func initializer(_ name: String, _ dims: [Int64], _ type: Int64, _ data: [UInt8]) -> [UInt8] {
        field(5, tensor(name, dims, type, data))
    }

    static func tensor(_ name: String, _ dims: [Int64], _ type: Int64, _ data: [UInt8]) -> [UInt8] {
        dims.flatMap { field(1, $0) } + field(2, type) + data + field(8, name)
    }
}
