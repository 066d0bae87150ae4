import ModelGraph
import Tensors
import Testing

@Suite("Shapes and summary")
struct ShapeTests {
    private func shape(_ nodes: [Node], _ initializers: [(String, Tensor)] = [], input: [Int] = [2, 8, 8]) throws
        -> Shape?
    {
        try smallGraph(nodes, initializers, input: input).inferShapes(batch: 3)["y"]
    }

    @Test("windows: stride, dilation, groups, pads, auto_pad and ceil_mode")
    func windows() throws {
        func conv(_ w: Shape, _ attributes: [String: AttributeValue]) throws -> Shape? {
            try shape([node("Conv", ["x", "w"], ["y"], attributes)], [("w", Tensor(zeros: w))])
        }
        #expect(try conv([5, 2, 3, 3], [:]) == [3, 5, 6, 6])
        #expect(try conv([5, 2, 3, 3], ["pads": .ints([1, 0, 1, 2]), "strides": .ints([2, 1])]) == [3, 5, 4, 8])
        #expect(try conv([4, 1, 3, 3], ["group": .int(2), "dilations": .ints([3, 2])]) == [3, 4, 2, 4])
        #expect(
            try conv([4, 2, 3, 3], ["auto_pad": .string("SAME_UPPER"), "strides": .ints([3, 3])]) == [3, 4, 3, 3])
        #expect(throws: ModelError.self) { try conv([5, 3, 3, 3], [:]) }
        #expect(throws: ModelError.self) { try conv([5, 2, 9, 9], [:]) }
        #expect(throws: ModelError.self) { try conv([5, 2, 3, 3], ["strides": .ints([0, 1])]) }
        #expect(throws: ModelError.self) { try conv([5, 2, 3, 3], ["pads": .ints([.max, .max, .max, .max])]) }
        func pool(_ attributes: [String: AttributeValue]) throws -> Shape? {
            try shape([node("MaxPool", ["x"], ["y"], attributes)])
        }
        #expect(try pool(["kernel_shape": .ints([3, 3]), "strides": .ints([2, 2])]) == [3, 2, 3, 3])
        #expect(
            try pool(["kernel_shape": .ints([3, 3]), "strides": .ints([2, 2]), "ceil_mode": .int(1)]) == [3, 2, 4, 4])
        #expect(throws: ModelError.self) { try pool([:]) }
    }

    @Test("matrices, broadcasting, reshaping and shape arithmetic")
    func others() throws {
        #expect(try shape([node("MatMul", ["x", "w"], ["y"])], [("w", ramp([8, 5]))]) == [3, 2, 8, 5])
        #expect(throws: ModelError.self) { try shape([node("MatMul", ["x", "w"], ["y"])], [("w", ramp([7, 5]))]) }
        #expect(try shape([node("Add", ["x", "b"], ["y"])], [("b", ramp([2, 1, 8]))]) == [3, 2, 8, 8])
        #expect(throws: ModelError.self) { try shape([node("Add", ["x", "b"], ["y"])], [("b", ramp([3]))]) }
        #expect(try shape([node("Flatten", ["x"], ["y"])]) == [3, 128])
        #expect(try shape([node("Flatten", ["x"], ["y"], ["axis": .int(-1)])]) == [48, 8])
        #expect(try shape([node("GlobalAveragePool", ["x"], ["y"])]) == [3, 2, 1, 1])
        let target = { (values: [Int64]) in [("s", Tensor(values, shape: [4]))] }
        #expect(try shape([node("Reshape", ["x", "s"], ["y"])], target([0, -1, 4, 4])) == [3, 8, 4, 4])
        #expect(throws: ModelError.self) { try shape([node("Reshape", ["x", "s"], ["y"])], target([0, -1, -1, 4])) }
        #expect(throws: ModelError.self) { try shape([node("Reshape", ["x", "s"], ["y"])], target([0, -1, 5, 4])) }
        #expect(throws: ModelError.self) {
            try shape([node("Reshape", ["x", "s"], ["y"])], target([.max, .max, .max, 4]))
        }
        // x.view(x.size(0), -1) as PyTorch writes it.
        let view = [
            node("Shape", ["x"], ["size"]), node("Gather", ["size", "zero"], ["n"]),
            node("Unsqueeze", ["n", "axes"], ["n1"]),
            node("Concat", ["n1", "rest"], ["target"], ["axis": .int(0)]), node("Reshape", ["x", "target"], ["y"]),
        ]
        let constants = [
            ("zero", Tensor([Int64(0)], shape: [])), ("axes", Tensor([Int64(0)], shape: [1])),
            ("rest", Tensor([Int64(-1)], shape: [1])),
        ]
        #expect(try shape(view, constants) == [3, 128])
    }

    @Test("an operator without a rule is named")
    func unknownOperator() {
        #expect(
            throws: ModelError.unsupportedOperator(
                operatorType: "Loop", node: "y_node", opset: 17, reason: "its output shape cannot be inferred")
        ) { try smallGraph([node("Loop", ["x"], ["y"])]).inferShapes(batch: 1) }
    }

    @Test("open axes take the batch or a given extent, or are refused by name")
    func inputs() throws {
        var graph = smallGraph([node("Relu", ["x"], ["y"])])
        #expect(try graph.inferShapes(batch: 5)["y"] == [5, 2, 4, 4])
        #expect(try graph.inferShapes(batch: 5, extents: ["batch": 3])["y"] == [3, 2, 4, 4])
        #expect(graph.openAxes == [])
        graph.inputs[0].dimensions = [.unknown, .fixed(2), .symbolic("height"), .unknown]
        #expect(graph.openAxes == ["height", "x.3"])
        #expect(try graph.inferShapes(batch: 5, extents: ["height": 7, "x.3": 0])["y"] == [5, 2, 7, 0])
        func failure(_ extents: [String: Int]) -> String? {
            do throws(ModelError) {
                _ = try graph.inferShapes(batch: 1, extents: extents)
                return nil
            } catch { return error.description }
        }
        #expect(
            failure([:])
                == "axis 2 of input 'x' has no fixed extent; give one for 'height' (--extent height=N)")
        #expect(failure(["height": 3])?.contains("axis 3 of input 'x'") == true)
        #expect(
            failure(["height": 3, "width": 3]) == "no input has an open axis 'width'; open are 'height', 'x.3'")
        #expect(failure(["height": -1]) == "an extent of -1 for 'height' is impossible")
        graph.inputs[0].dimensions = nil
        #expect(throws: ModelError.self) { try graph.inferShapes(batch: 1) }
        #expect(throws: ModelError.self) { try graph.inferShapes(batch: 0) }
    }

    @Test("every fixture's shapes are inferred up to its logits", .enabled(if: Fixtures.areThere, "needs ../shared"))
    func fixtures() throws {
        for name in Fixtures.names {
            let shapes = try Fixtures.graph(name).inferShapes(batch: 2)
            #expect(shapes["logits"] == (name == "parity/tinybert" ? [2, 5] : [2, 10]), "\(name)")
        }
    }
}
