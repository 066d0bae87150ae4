import Tensors
import Testing

@testable import ModelGraph

@Suite("What inspect tells")
struct SummaryTests {
    @Test("the summary counts parameters, zeros and multiply-accumulates")
    func summary() throws {
        var graph = try ModelBuilder.build(architecture: "cnn", seed: 1)
        let summary = try graph.summary(fileBytes: 77)
        #expect(summary.parameters == 421_642)
        // conv1 28*28*32*9 + conv2 14*14*64*288 + 3136*128 + 128*10
        #expect(summary.macs == 225_792 + 3_612_672 + 401_408 + 1_280)
        #expect(summary.bytes == 77 && !summary.external)
        #expect(summary.opset == 17)
        #expect(summary.operators == ["Conv": 2, "Relu": 3, "MaxPool": 2, "Flatten": 1, "Gemm": 2])
        // Biases start at zero.
        #expect(summary.nonzeroParameters == 421_642 - 32 - 64 - 128 - 10)
        #expect(summary.trainable.elements == 421_642 && summary.trainable.tensors.count == 8)
        #expect(summary.statistics.elements == 0)
        #expect(summary.prunable.tensors.map(\.name) == ["conv1", "conv2", "fc1", "fc2"].map { "\($0).weight" })
        #expect(summary.prunable.elements == 421_642 - 32 - 64 - 128 - 10)
        #expect(summary.notQuantizable.isEmpty && summary.unsupportedOperators.isEmpty && summary.missing.isEmpty)
        // conv1 and its relu live together: 2 x 32 x 28 x 28 floats.
        #expect(summary.activationBytes?.peak == 2 * 32 * 784 * 4)
        // Inputs of conv1, conv2, both pools and both dense layers; the Relus' outputs are the pools' and fc2's inputs.
        #expect(summary.activationBytes?.training == 4 * (784 + 32 * 784 + 32 * 196 + 64 * 196 + 64 * 49 + 128))
        #expect(try graph.summary(fileBytes: 0, batch: 3).macs == summary.macs.map { 3 * $0 })
        graph.initializers["fc1.weight"] = Tensor(zeros: [128, 3136])
        #expect(try graph.summary(fileBytes: 77).nonzeroParameters == summary.nonzeroParameters - 401_408)
        let json = String(decoding: summary.encodedJSON(), as: UTF8.self)
        #expect(json == String(decoding: summary.encodedJSON(), as: UTF8.self))
        for key in [
            "parameters", "nonzeroParameters", "macs", "bytes", "opset", "operators", "inputs", "outputs", "trainable",
            "statistics", "prunable", "notQuantizable", "activationBytes", "unsupportedOperators", "external", "batch",
            "missing",
        ] {
            #expect(json.contains("\"\(key)\""))
        }
        #expect(summary.inputs.map(\.description) == ["x float32[batch, 1, 28, 28]"])
    }

    @Test("what stays float is named with its reason")
    func stayingFloat() throws {
        let transformer = try ModelBuilder.build(architecture: "transformer", width: 8, seed: 1)
        let groups = try transformer.summary(fileBytes: 0).notQuantizable
        let operators = Set(groups.map(\.operator))
        #expect(operators.isSuperset(of: ["LayerNormalization", "Erf", "ReduceMean"]))
        #expect(!operators.contains("MatMul") && !operators.contains("Gemm"))
        #expect(groups.first { $0.operator == "LayerNormalization" }?.nodes.count == 5)
        let resnet = try ModelBuilder.build(
            architecture: "resnet20", inputShape: [3, 8, 8], classes: 4, width: 2, seed: 1)
        #expect(try resnet.summary(fileBytes: 0).notQuantizable == [])
        let odd = smallGraph(
            [
                node("Transpose", ["x"], ["t"]), node("Conv", ["x", "t"], ["c"]), node("Add", ["c", "b"], ["a"]),
                node("Sigmoid", ["a"], ["y"]),
            ], [("b", ramp([4]))])
        #expect(
            odd.nodesStayingFloat().map(\.reason) == [
                "what it reads is not quantized", "its weight is computed, not stored",
                "what it reads is not all quantized", "what it reads or writes is not quantized",
            ])
    }

    @Test("a quantized file tells which of its nodes compute in float")
    func quantized() throws {
        let graph = smallGraph(
            [
                node("QuantizeLinear", ["x", "s", "z"], ["q"]), node("DequantizeLinear", ["q", "s", "z"], ["d"]),
                node("DequantizeLinear", ["w", "s", "wz"], ["wd"]), node("MatMul", ["d", "wd"], ["m"]),
                node("Relu", ["m"], ["r"]), node("Tanh", ["r"], ["y"]),
            ],
            [
                ("s", ramp([])), ("z", Tensor([UInt8(0)], shape: [])),
                ("w", Tensor(zeros: [4, 4], elementType: .int8)), ("wz", Tensor(zeros: [], elementType: .int8)),
            ])
        let summary = try graph.summary(fileBytes: 0)
        #expect(summary.notQuantizable.map(\.operator) == ["Relu", "Tanh"])
        #expect(summary.parameters == 16 && summary.nonzeroParameters == 0 && summary.macs == 2 * 4 * 4 * 4)
    }

    @Test("open axes and operators without a rule leave figures out and say so")
    func missing() throws {
        var graph = smallGraph([node("MatMul", ["x", "w"], ["y"])], [("w", ramp([4, 5]))])
        graph.inputs[0].dimensions = [.symbolic("batch"), .symbolic("length"), .fixed(4)]
        let without = try graph.summary(fileBytes: 0)
        #expect(without.macs == nil && without.activationBytes == nil && without.parameters == 20)
        #expect(without.missing == ["MACs and memory need an extent for 'length' (--extent length=N)"])
        #expect(!String(decoding: without.encodedJSON(), as: UTF8.self).contains("\"macs\""))
        #expect(try graph.summary(fileBytes: 0, batch: 2, extents: ["length": 6]).macs == 2 * 6 * 4 * 5)
        #expect(throws: ModelError.self) { try graph.summary(fileBytes: 0, extents: ["width": 6]) }
        #expect(throws: ModelError.self) { try graph.summary(fileBytes: 0, batch: 0) }
        let loop = smallGraph([node("Loop", ["x"], ["y"])])
        let summary = try loop.summary(fileBytes: 0, supported: ["Relu": 13...21])
        #expect(summary.macs == nil && summary.missing.first?.contains("'Loop'") == true)
        #expect(
            summary.unsupportedOperators
                == [.init(operator: "Loop", reason: "the engine does not know it", nodes: ["y_node"])])
        let old = smallGraph([node("Gelu", ["x"], ["y"])])
        #expect(old.unsupportedOperators(["Gelu": 20...21]).map(\.reason) == ["it is supported from opset 20 to 21"])
        let torn = smallGraph([node("MatMul", ["x", "w"], ["y"])], [("w", ramp([3, 5]))])
        #expect(throws: ModelError.self) { try torn.summary(fileBytes: 0) }
    }

    @Test("multiply-accumulates of transposed, recurrent, quantized and attention layers")
    func multiplyAccumulates() throws {
        func macs(
            _ type: String, _ input: [Int], _ tensors: [Tensor], _ attributes: [String: AttributeValue] = [:]
        ) throws -> Int? {
            let names = tensors.indices.map { "t\($0)" }
            let graph = smallGraph(
                [node(type, ["x"] + names, ["y"], attributes)], Array(zip(names, tensors)), input: input, opset: 23)
            return try graph.summary(fileBytes: 0).macs
        }
        #expect(
            try macs("ConvTranspose", [4, 5, 6], [Tensor(zeros: [4, 2, 3, 3])], ["strides": .ints([2, 2])])
                == 4 * 5 * 6 * 2 * 9)
        #expect(try macs("GRU", [7, 5], [Tensor(zeros: [1, 18, 5]), Tensor(zeros: [1, 18, 6])]) == 7 * 18 * 11)
        #expect(
            try macs("Einsum", [4, 5], [Tensor(zeros: [5, 6])], ["equation": .string("bij,jk->bik")]) == 4 * 5 * 6)
        let heads: [String: AttributeValue] = ["q_num_heads": .int(2), "kv_num_heads": .int(2)]
        let keys = [Tensor(zeros: [1, 9, 8]), Tensor(zeros: [1, 9, 4])]
        #expect(try macs("Attention", [5, 8], keys, heads) == 5 * 8 * 9 + 2 * 5 * 9 * 2)
        #expect(try macs("MatMulInteger", [5], [Tensor(zeros: [5, 3], elementType: .int8)]) == 15)
        let large = smallGraph(
            [node("MatMul", ["x", "e"], ["y"])], [("e", Tensor(zeros: [1, 8]))], input: [1 << 30, 1])
        #expect(throws: ModelError.self) { try large.summary(fileBytes: 0, batch: 1 << 31 - 1) }
    }
}
