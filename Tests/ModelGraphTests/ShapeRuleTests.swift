import ModelGraph
import Tensors
import Testing

/// One operator applied to an input `x` of a given shape. The ONNX project's own node tests (onnx.backend.test) were the
/// reference when these rules were written; here stands one case of each family and of each way to be wrong.
@Suite("Shape rules")
struct ShapeRuleTests {
    typealias Attributes = [String: AttributeValue]

    private static func ints(_ values: Int64...) -> Tensor {
        guard let shape = try? Shape([values.count]) else { preconditionFailure("a count is never negative") }
        return Tensor(values, shape: shape)
    }

    /// Shapes of `outputs` of one node whose inputs are `x` (of shape [3] + input), then the tensors; nil leaves one out.
    private func shapes(
        _ type: String, _ input: [Int], _ tensors: [Tensor?] = [], _ attributes: Attributes = [:], outputs: Int = 1,
        opset: Int64 = 21
    ) throws -> [Shape?] {
        let names = ["x"] + tensors.enumerated().map { $1 == nil ? "" : "t\($0)" }
        let outputNames = (0..<outputs).map { $0 == 0 ? "y" : "y\($0)" }
        let graph = smallGraph(
            [node(type, names, outputNames, attributes)],
            tensors.enumerated().compactMap { index, tensor in tensor.map { ("t\(index)", $0) } }, input: input,
            opset: opset)
        let inferred = try graph.inferShapes(batch: 3)
        return outputNames.map { inferred[$0] }
    }

    @Test("cutting, repeating and padding")
    func selection() throws {
        let ints = Self.ints
        #expect(try shapes("Slice", [8], [ints(1), ints(.max), ints(1), ints(3)]) == [[3, 3]])
        #expect(try shapes("Slice", [8], [ints(-1), ints(.min), ints(-1), ints(-3)]) == [[3, 3]])
        #expect(try shapes("Slice", [8], [ints(5), ints(2), ints(1), ints(.max)]) == [[3, 0]])
        #expect(throws: ModelError.self) { try shapes("Slice", [8], [ints(5), ints(2), ints(1), ints(0)]) }
        #expect(throws: ModelError.self) { try shapes("Slice", [8], [ints(5), ints(2), ints(1), ints(.min)]) }
        #expect(throws: ModelError.self) { try shapes("Slice", [8], [ints(5), ints(2, 3), ints(1)]) }
        #expect(try shapes("Split", [7], [ints(5, 2)], ["axis": .int(1)], outputs: 2) == [[3, 5], [3, 2]])
        #expect(
            try shapes("Split", [7], [], ["axis": .int(-1), "num_outputs": .int(3)], outputs: 3)
                == [[3, 3], [3, 3], [3, 1]])
        #expect(throws: ModelError.self) { try shapes("Split", [7], [], ["axis": .int(1)], outputs: 2) }
        #expect(throws: ModelError.self) {
            try shapes("Split", [7], [ints(.max, .max)], ["axis": .int(1)], outputs: 2)
        }
        #expect(try shapes("Expand", [1, 4], [ints(2, 1, 5, 1)]) == [[2, 3, 5, 4]])
        #expect(try shapes("Tile", [2], [ints(2, 3)]) == [[6, 6]])
        #expect(throws: ModelError.self) { try shapes("Tile", [2], [ints(1 << 30, 1 << 30)]) }
        #expect(try shapes("Pad", [4, 4], [ints(1, 2, -1, 0), nil, ints(1, 2)]) == [[3, 4, 6]])
        #expect(throws: ModelError.self) { try shapes("Pad", [4], [ints(0, .max, 0, .max)]) }
        #expect(throws: ModelError.self) { try shapes("Pad", [4], [ints(0, -5, 0, 0)]) }
        #expect(try shapes("TopK", [9], [ints(4)], outputs: 2) == [[3, 4], [3, 4]])
        #expect(try shapes("ArgMax", [9], [], ["axis": .int(1), "keepdims": .int(0)]) == [[3]])
        #expect(try shapes("ReduceSum", [4, 5], [ints(-1)], ["keepdims": .int(0)]) == [[3, 4]])
        #expect(try shapes("ReduceMean", [4, 5], [], ["axes": .ints([1])], opset: 17) == [[3, 1, 5]])
        #expect(throws: ModelError.self) { try shapes("ReduceSum", [4, 5], [ints(1, 1)]) }
        #expect(try shapes("OneHot", [4], [ints(7), ramp([2])]) == [[3, 4, 7]])
        #expect(try shapes("GatherND", [4, 5], [Tensor([Int64](repeating: 0, count: 6), shape: [3, 2])]) == [[3, 5]])
    }

    @Test("images: transposed convolution, resizing, depth and space, pools with indices")
    func images() throws {
        let weight = Tensor(zeros: [4, 2, 3, 3])
        let strides: Attributes = ["strides": .ints([2, 2]), "pads": .ints([1, 1, 1, 1]), "group": .int(2)]
        #expect(
            try shapes(
                "ConvTranspose", [4, 5, 6], [weight],
                strides.merging(["output_padding": .ints([1, 0])]) { $1 }) == [[3, 4, 10, 11]])
        #expect(
            try shapes(
                "ConvTranspose", [4, 5, 6], [weight], ["auto_pad": .string("SAME_UPPER"), "strides": .ints([3, 2])])
                == [[3, 2, 15, 12]])
        #expect(throws: ModelError.self) {
            try shapes("ConvTranspose", [4, 5, 6], [weight], ["dilations": .ints([1 << 31 - 1, 1 << 31 - 1])])
        }
        #expect(throws: ModelError.self) { try shapes("ConvTranspose", [5, 5, 6], [weight]) }
        let scales = floatTensor([1, 1, 2.5, 0.3], shape: [4])
        #expect(try shapes("Resize", [2, 5, 7], [nil, scales]) == [[3, 2, 12, 2]])
        let empty = Tensor([Float](), shape: [0])
        #expect(try shapes("Resize", [2, 5, 7], [empty, empty, Self.ints(3, 2, 9, 9)]) == [[3, 2, 9, 9]])
        #expect(
            try shapes(
                "Resize", [2, 5, 7], [nil, nil, Self.ints(10, 10)],
                ["axes": .ints([2, 3]), "keep_aspect_ratio_policy": .string("not_larger")]) == [[3, 2, 7, 10]])
        #expect(throws: ModelError.self) { try shapes("Resize", [2, 5, 7]) }
        #expect(throws: ModelError.self) {
            try shapes("Resize", [2, 5, 7], [nil, floatTensor([1, 1, .infinity, .nan], shape: [4])])
        }
        #expect(try shapes("DepthToSpace", [8, 2, 3], [], ["blocksize": .int(2)]) == [[3, 2, 4, 6]])
        #expect(throws: ModelError.self) { try shapes("DepthToSpace", [8, 2, 3], [], ["blocksize": .int(1 << 31)]) }
        let kernel: Attributes = ["kernel_shape": .ints([2, 2]), "strides": .ints([2, 2])]
        #expect(try shapes("MaxPool", [2, 8, 8], [], kernel, outputs: 2) == [[3, 2, 4, 4], [3, 2, 4, 4]])
        #expect(throws: ModelError.self) { try shapes("AveragePool", [2, 8, 8], [], kernel, outputs: 2) }
    }

    @Test("sequences: LSTM and GRU with all outputs, attention, Einsum")
    func sequences() throws {
        let directions: Attributes = ["direction": .string("bidirectional"), "hidden_size": .int(6)]
        let lstm = [Tensor(zeros: [2, 24, 5]), Tensor(zeros: [2, 24, 6]), Tensor(zeros: [2, 48])]
        #expect(
            try shapes("LSTM", [7, 5], lstm, directions, outputs: 3) == [[3, 2, 7, 6], [2, 7, 6], [2, 7, 6]])
        let gru = [Tensor(zeros: [1, 18, 5]), Tensor(zeros: [1, 18, 6])]
        #expect(try shapes("GRU", [7, 5], gru, ["layout": .int(1)], outputs: 2) == [[3, 7, 1, 6], [3, 1, 6]])
        #expect(throws: ModelError.self) { try shapes("GRU", [7, 5], gru, outputs: 3) }
        #expect(throws: ModelError.self) { try shapes("LSTM", [7, 5], gru) }
        let heads: Attributes = ["q_num_heads": .int(4), "kv_num_heads": .int(2)]
        let keys = [Tensor(zeros: [3, 9, 8]), Tensor(zeros: [3, 9, 6])]
        #expect(
            try shapes("Attention", [5, 16], keys, heads, outputs: 4, opset: 23)
                == [[3, 5, 12], [3, 2, 9, 4], [3, 2, 9, 3], [3, 4, 5, 9]])
        #expect(throws: ModelError.self) { try shapes("Attention", [5, 16], keys, opset: 23) }
        let other = Tensor(zeros: [3, 5, 6])
        #expect(try shapes("Einsum", [4, 5], [other], ["equation": .string("bij, bjk -> bik")]) == [[3, 4, 6]])
        #expect(try shapes("Einsum", [4, 5], [other], ["equation": .string("...ij,...jk")]) == [[3, 4, 6]])
        for equation in ["bij,bjk->bil", "bij", "bij,b.k->b", "ij,bjk->ik", "bij,bik->bb", "a->b->c,x"] {
            #expect(throws: ModelError.self, "\(equation)") {
                try shapes("Einsum", [4, 5], [other], ["equation": .string(equation)])
            }
        }
    }

    @Test("normalisations and quantization: all outputs, and parameters that must fit")
    func normalisations() throws {
        #expect(
            try shapes("LayerNormalization", [4, 8], [ramp([8])], ["axis": .int(-1)], outputs: 3)
                == [[3, 4, 8], [3, 4, 1], [3, 4, 1]])
        #expect(throws: ModelError.self) { try shapes("LayerNormalization", [4, 8], [ramp([7])]) }
        let (four, two) = (ramp([4]), ramp([2]))
        #expect(try shapes("GroupNormalization", [4, 8], [four, four], ["num_groups": .int(2)]) == [[3, 4, 8]])
        #expect(
            try shapes("GroupNormalization", [4, 8], [two, two], ["num_groups": .int(2)], opset: 18) == [[3, 4, 8]])
        #expect(throws: ModelError.self) { try shapes("GroupNormalization", [4, 8], [two, two]) }
        #expect(throws: ModelError.self) { try shapes("InstanceNormalization", [4, 8], [two, two]) }
        #expect(try shapes("PRelu", [4, 8], [ramp([4, 1])]) == [[3, 4, 8]])
        #expect(throws: ModelError.self) { try shapes("PRelu", [1, 8], [ramp([4, 1])]) }
        #expect(try shapes("DynamicQuantizeLinear", [4], outputs: 3) == [[3, 4], [], []])
        #expect(try shapes("DequantizeLinear", [4], [ramp([3, 2])], ["block_size": .int(2)]) == [[3, 4]])
        #expect(throws: ModelError.self) { try shapes("DequantizeLinear", [4], [ramp([3])]) }
        #expect(
            try shapes("BatchNormalization", [4], [four, four, four, four], ["training_mode": .int(1)], outputs: 3)
                == [[3, 4], [4], [4]])
    }

    @Test("shape arithmetic on the host, as exporters write it")
    func hostArithmetic() throws {
        func inferred(_ nodes: [Node], _ initializers: [(String, Tensor)], input: [Int] = [6, 8]) throws -> Shape? {
            try smallGraph(nodes, initializers, input: input).inferShapes(batch: 3)["y"]
        }
        let scalars: [(String, Tensor)] = (0...4).map { ("\($0)", Tensor([Int64($0)], shape: [])) }
        // torch.arange(x.size(1) // 2 + 1): Range over a computed limit, and its value as a Gather's index.
        #expect(
            try inferred(
                [
                    node("Shape", ["x"], ["s"], ["start": .int(-2), "end": .int(-1)]),
                    node("Squeeze", ["s"], ["n"]), node("Div", ["n", "2"], ["h"]), node("Add", ["h", "1"], ["l"]),
                    node("Range", ["0", "l", "1"], ["r"]), node("Gather", ["x", "r"], ["y"], ["axis": .int(1)]),
                ], scalars) == [3, 4, 8])
        // expand(-1, 4, -1): the exporter replaces -1 by 1 through ConstantOfShape, Equal and Where.
        #expect(
            try inferred(
                [
                    node("ConstantOfShape", ["three"], ["ones"], ["value": .tensor(Self.ints(1))]),
                    node("Mul", ["ones", "minus"], ["negative"]), node("Equal", ["size", "negative"], ["is"]),
                    node("Where", ["is", "ones", "size"], ["target"]), node("Expand", ["t", "target"], ["y"]),
                ],
                [
                    ("three", Self.ints(3)), ("minus", Tensor([Int64(-1)], shape: [])), ("size", Self.ints(-1, 4, -1)),
                    ("t", Tensor(zeros: [5, 1, 2])),
                ]) == [5, 4, 2])
        // interpolate(scale_factor=0.5): sizes through float32.
        #expect(
            try inferred(
                [
                    node("Shape", ["x"], ["s"]), node("Slice", ["s", "zero", "two"], ["front"]),
                    node("Slice", ["s", "two", "four"], ["space"]),
                    node("Cast", ["space"], ["f"], ["to": .int(1)]), node("Mul", ["f", "half"], ["g"]),
                    node("Floor", ["g"], ["h"]), node("Cast", ["h"], ["i"], ["to": .int(7)]),
                    node("Concat", ["front", "i"], ["sizes"], ["axis": .int(0)]),
                    node("Resize", ["x", "", "", "sizes"], ["y"]),
                ],
                [
                    ("zero", Self.ints(0)), ("two", Self.ints(2)), ("four", Self.ints(4)),
                    ("half", floatTensor([0.5], shape: [])),
                ], input: [6, 9, 8]) == [3, 6, 4, 4])
        // F.pad: pairs in reverse order, turned round by Reshape, Slice with step -1 and Transpose.
        #expect(
            try inferred(
                [
                    node("Concat", ["given", "rest"], ["c"], ["axis": .int(0)]),
                    node("Reshape", ["c", "pairs"], ["r"]),
                    node("Slice", ["r", "last", "first", "axis", "last"], ["b"]),
                    node("Transpose", ["b"], ["t"], ["perm": .ints([1, 0])]), node("Reshape", ["t", "last"], ["p"]),
                    node("Pad", ["x", "p"], ["y"]),
                ],
                [
                    ("given", Self.ints(1, 2)), ("rest", Self.ints(0, 0, 0, 0)), ("pairs", Self.ints(-1, 2)),
                    ("last", Self.ints(-1)), ("first", Self.ints(.min)), ("axis", Self.ints(0)),
                ]) == [3, 6, 11])
        // Mod, Min, Max, ReduceProd, Split and Tile.
        #expect(
            try inferred(
                [
                    node("Mod", ["minusSeven", "three"], ["m"]), node("Max", ["m", "one"], ["a"]),
                    node("Tile", ["a", "three"], ["t"]), node("Split", ["t", "parts"], ["p", "q"]),
                    node("ReduceProd", ["q"], ["r"]), node("Concat", ["p", "r"], ["c"], ["axis": .int(0)]),
                    node("ConstantOfShape", ["c"], ["y"]),
                ],
                [
                    ("minusSeven", Self.ints(-7)), ("three", Self.ints(3)), ("one", Self.ints(1)),
                    ("parts", Self.ints(1, 2)),
                ]) == [2, 4])
    }

    @Test("arithmetic that overflows makes a shape unknown, never a trap")
    func overflow() {
        for (type, a, b) in [
            ("Add", Int64.max, Int64(1)), ("Sub", .min, 1), ("Mul", .max, 2), ("Div", .min, -1), ("Div", 1, 0),
            ("Mod", .min, -1), ("Mod", 1, 0), ("Pow", 3, 60), ("Pow", 2, -1),
        ] {
            let graph = smallGraph(
                [node(type, ["a", "b"], ["c"]), node("ConstantOfShape", ["c"], ["y"])],
                [("a", Self.ints(a)), ("b", Self.ints(b))])
            #expect(throws: ModelError.self, "\(type)") { try graph.inferShapes(batch: 1) }
        }
        for (start, limit, delta) in [(Int64(0), Int64.max, Int64(1)), (0, 5, 0), (.max, .min, -1)] {
            let graph = smallGraph(
                [node("Range", ["a", "b", "c"], ["y"])],
                [("a", Self.ints(start)), ("b", Self.ints(limit)), ("c", Self.ints(delta))])
            #expect(throws: ModelError.self) { try graph.inferShapes(batch: 1) }
        }
    }
}
