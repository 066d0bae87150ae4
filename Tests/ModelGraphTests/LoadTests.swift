import ModelGraph
import Tensors
import Testing

@Suite("Loading and saving ONNX")
struct LoadTests {
    @Test(
        "every fixture survives load, save and load, and saves to the same bytes twice",
        .enabled(if: Fixtures.areThere, "needs ../shared"), arguments: Fixtures.names)
    func roundTrip(name: String) throws {
        let graph = try Fixtures.graph(name)
        let bytes = graph.serialized()
        #expect(bytes == graph.serialized())
        let again = try Graph.load(bytes, path: name)
        #expect(again == graph)
        #expect(again.serialized() == bytes)
        #expect(!graph.nodes.contains { ["Identity", "Constant"].contains($0.operatorType) })
    }

    @Test("aliases become parameters of their own", .enabled(if: Fixtures.areThere, "needs ../shared"))
    func aliases() throws {
        let graph = try Fixtures.graph("parity/resnet8")
        #expect(graph.initializers["l.2.b2.running_var"] != nil)
        let norms = graph.nodes.filter { $0.operatorType == "BatchNormalization" }
        #expect(norms.count == 9)
        let names = norms.flatMap { $0.inputs.dropFirst() }
        #expect(Set(names).count == 4 * 9, "each normalisation owns its four tensors")
        #expect(graph.statisticNames.count == 2 * 9)
        #expect(graph.parameterTensors().count == 9 + 4 * 9 + 2)
    }

    @Test("typed fields, every element type and constants in all spellings are read")
    func elementTypes() throws {
        func floats(_ values: [Float]) -> [UInt8] {
            values.flatMap { withUnsafeBytes(of: $0.bitPattern) { Array($0) } }
        }
        let packed = { (values: [Int64]) in values.flatMap { Wire.varint(UInt64(bitPattern: $0)) } }
        // (data type, field number, payload, expected element type and bytes) for three elements each.
        let cases: [(Int64, [UInt8], ElementType, [UInt8])] = [
            (1, Wire.field(4, floats([1, -2, 3])), .float32, floats([1, -2, 3])),
            (2, Wire.field(5, packed([1, 200, 255])), .uint8, [1, 200, 255]),
            (3, Wire.field(5, packed([1, -2, -128])), .int8, [1, 254, 128]),
            (5, Wire.field(5, packed([1, -2, 300])), .int16, [1, 0, 254, 255, 44, 1]),
            (6, Wire.field(5, packed([1, -2, 3])), .int32, [1, 0, 0, 0, 254, 255, 255, 255, 3, 0, 0, 0]),
            (
                7, Wire.field(7, packed([1, 2, -1])), .int64,
                [1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0] + [UInt8](repeating: 255, count: 8)
            ),
            (9, Wire.field(5, packed([1, 0, 1])), .bool, [1, 0, 1]),
            (10, Wire.field(5, packed([0x3c00, 0, 0xc000])), .float16, [0, 0x3c, 0, 0, 0, 0xc0]),
            (16, Wire.field(5, packed([0x3f80, 0, 0xc000])), .bfloat16, [0x80, 0x3f, 0, 0, 0, 0xc0]),
            (11, Wire.field(9, [UInt8](repeating: 7, count: 24)), .float64, [UInt8](repeating: 7, count: 24)),
        ]
        for (type, data, elementType, bytes) in cases {
            let file = Wire.model(Wire.initializer("w", [3], type, data) + Wire.node("Add", ["x", "w"], ["y"]))
            let graph = try Graph.load(file, path: "typed")
            #expect(graph.initializers["w"]?.elementType == elementType)
            #expect(graph.initializers["w"]?.bytes == bytes, "\(elementType)")
            #expect(try Graph.load(graph.serialized(), path: "again") == graph)
        }
        let number = Wire.field(
            5, Wire.field(1, "value_ints") + Wire.field(20, 7) + Wire.field(8, 5) + Wire.field(8, 6))
        let file = Wire.model(
            Wire.node("Reshape", ["x", "c"], ["y"]) + Wire.node("Constant", [], ["c"], extra: number))
        let graph = try Graph.load(file, path: "constant")
        #expect(graph.initializers["c"] == Tensor([Int64(5), 6], shape: [2]))
        #expect(graph.constantNames == ["c"])
        #expect(try Graph.load(graph.serialized(), path: "again") == graph)
    }

    @Test("nodes are put into topological order; cycles, double producers and loose ends are refused")
    func topology() throws {
        let unsorted = Wire.model(
            Wire.node("Relu", ["b"], ["y"]) + Wire.node("Relu", ["a"], ["b"]) + Wire.node("Relu", ["x"], ["a"]))
        #expect(try Graph.load(unsorted, path: "unsorted").nodes.map { $0.outputs[0] } == ["a", "b", "y"])
        let cycle = Wire.model(
            Wire.node("Add", ["x", "b"], ["a"]) + Wire.node("Relu", ["a"], ["b"]) + Wire.node("Relu", ["x"], ["y"]))
        #expect(loadFailure(cycle)?.contains("cycle through node 'Add_0'") == true)
        let double = Wire.model(Wire.node("Relu", ["x"], ["y"]) + Wire.node("Tanh", ["x"], ["y"]))
        #expect(loadFailure(double)?.contains("'y' has more than one producer") == true)
        let loose = Wire.model(Wire.node("Add", ["x", "nowhere"], ["y"]))
        #expect(loadFailure(loose)?.contains("reads 'nowhere', which nothing produces") == true)
        #expect(loadFailure(Wire.model([]))?.contains("output 'y' is produced by nothing") == true)
    }

    @Test("a shared initializer stays shared; a statistic shared with a weight is untied")
    func sharing() throws {
        let shared = smallGraph(
            [node("MatMul", ["x", "w"], ["h"]), node("MatMul", ["h", "w"], ["y"])], [("w", ramp([4, 4]))])
        let loaded = try Graph.load(shared.serialized(), path: "shared")
        #expect(loaded.nodes.map { $0.inputs[1] } == ["w", "w"])
        #expect(loaded.initializers.names == ["w"])
        let folded = smallGraph(
            [node("BatchNormalization", ["x", "ones", "zeros", "zeros", "ones"], ["y"])],
            [("ones", floatTensor([1, 1], shape: [2])), ("zeros", floatTensor([0, 0], shape: [2]))])
        let untied = try Graph.load(folded.serialized(), path: "untied")
        #expect(untied.nodes[0].inputs == ["x", "ones", "zeros", "zeros.mean", "ones.variance"])
        #expect(untied.trainableNames == ["ones", "zeros"])
        #expect(untied.statisticNames == ["zeros.mean", "ones.variance"])
    }

    @Test("opsets outside 13 to 25 are refused with their number and the way out", arguments: [Int64(26), .max])
    func newOpset(version: Int64) {
        let failure = loadFailure(Wire.model(Wire.node("Relu", ["x"], ["y"]), opset: version))
        #expect(failure == "opset \(version) is not supported; export the model with an opset from 13 to 25")
    }

    @Test("older opsets are told how to convert", arguments: [Int64(1), 12, .min])
    func oldOpset(version: Int64) {
        let failure = loadFailure(Wire.model(Wire.node("Relu", ["x"], ["y"]), opset: version))
        #expect(
            failure == "opset \(version) is not supported; export the model with an opset from 13 to 25, or convert it "
                + "with onnx.version_converter.convert_version(model, 17)")
    }

    @Test(
        "the IR version written is the one that came with the opset",
        arguments: [(13, 8), (22, 10), (23, 11), (25, 13)])
    func irVersion(opset: Int64, written: Int64) throws {
        let graph = try Graph.load(Wire.model(Wire.node("Relu", ["x"], ["y"]), opset: opset), path: "ir")
        #expect(graph.irVersion == written)
        #expect(try Graph.load(graph.serialized(), path: "ir") == graph)
    }

    @Test("an output may be an input or an initializer itself")
    func directOutputs() throws {
        let extra =
            Wire.field(12, Wire.field(1, "x") + Wire.field(2, Wire.field(1, Wire.field(1, 1))))
            + Wire.field(12, Wire.field(1, "w") + Wire.field(2, Wire.field(1, Wire.field(1, 1))))
        let file = Wire.model(
            Wire.initializer("w", [1], 1, Wire.field(9, [0, 0, 128, 63])) + Wire.node("Relu", ["x"], ["y"]) + extra)
        let graph = try Graph.load(file, path: "direct")
        #expect(graph.outputs.map(\.name) == ["x", "w", "y"])
        #expect(graph.initializers["w"]?.floats == [1])
        #expect(try Graph.load(graph.serialized(), path: "again") == graph)
    }

    @Test("a missing file is named with the system's reason")
    func missingFile() {
        #expect(throws: ModelError.unreadableFile(path: "/nowhere/m.onnx", reason: "No such file or directory")) {
            try Graph.load(path: "/nowhere/m.onnx")
        }
    }
}
