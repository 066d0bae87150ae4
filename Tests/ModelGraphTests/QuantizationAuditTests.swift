import Tensors
import Testing

@testable import ModelGraph

@Suite("Fusion audit")
struct QuantizationAuditTests {
    private func kernels(_ graph: Graph, _ target: DeploymentTarget) -> [String: FusionAudit.Kernel] {
        let entries = graph.fusionAudit(for: target).entries
        return Dictionary(entries.map { ($0.name, $0.kernel) }, uniquingKeysWith: { first, _ in first })
    }

    @Test("every multiply-accumulate of the bundled networks is in integers", arguments: ["cnn", "resnet20"])
    func whole(architecture: String) throws {
        let graph = try ModelBuilder.build(architecture: architecture, seed: 1).foldingBatchNormalization()
        for (target, bits) in [(DeploymentTarget.x86, 8), (.x86, 3), (.x86NoVNNI, 7), (.arm, 8)] {
            let audit = try graph.sample(for: target, bits: bits).fusionAudit(for: target)
            #expect(audit.integerShare == 1)
            #expect(audit.floatEntries == [])
        }
        let trt = try graph.sample(for: .tensorrt).fusionAudit(for: .tensorrt)
        #expect(try #require(trt.integerShare) > 0.5)
        // Its product of a matrix and a vector stays float.
        #expect(trt.floatEntries.contains { $0.operator == "Gemm" })
    }

    @Test("squeeze and excitation, gates, sums with constants and concatenations have integer kernels")
    func followers() throws {
        let graph = smallGraph(
            [
                node("Conv", ["x", "w"], ["c"]), node("GlobalAveragePool", ["c"], ["p"]),
                node("Conv", ["p", "v"], ["e"]), node("HardSigmoid", ["e"], ["g"]), node("Mul", ["c", "g"], ["m"]),
                node("Sigmoid", ["c"], ["s"]), node("Mul", ["c", "s"], ["silu"]),
                node("Concat", ["m", "silu"], ["k"], ["axis": .int(1)]), node("Add", ["k", "b"], ["a"]),
                node("Tanh", ["a"], ["y"]),
            ],
            [("w", noise([4, 2, 1, 1])), ("v", noise([4, 4, 1, 1])), ("b", noise([8, 1, 1]))])
        #expect(graph.quantizationPoints() == ["x", "c", "p", "e", "g", "m", "s", "silu", "k", "a"])
        let result = try graph.sample(for: .x86)
        let found = kernels(result, .x86)
        for name in ["c", "p", "e", "m", "s", "silu", "k", "a"] {
            #expect(found["\(name)_node"] == .integer, "\(name)")
        }
        #expect(found["g_node"] == .float && found["y_node"] == .float)
        #expect(result.initializers["b.quantized"]?.elementType == .uint8)
    }

    @Test("Gelu and what is not quantized anyway are left to the runtime's float fusions")
    func gelu() throws {
        let graph = smallGraph(
            [
                node("MatMul", ["x", "w"], ["h"]), node("Mul", ["h", "half"], ["half_h"]),
                node("Div", ["h", "root"], ["d"]), node("Erf", ["d"], ["e"]), node("Add", ["e", "one"], ["f"]),
                node("Mul", ["half_h", "f"], ["g"]), node("MatMul", ["g", "v"], ["y"]),
            ],
            [
                ("w", noise([4, 4])), ("v", noise([4, 4])), ("half", floatTensor([0.5], shape: [])),
                ("root", floatTensor([1.414], shape: [])), ("one", floatTensor([1], shape: [])),
            ])
        #expect(graph.quantizationPoints() == ["x", "h", "g", "y"])
        let found = kernels(try graph.sample(for: .x86), .x86)
        #expect(found["half_h_node"] == .float && found["g_node"] == .float && found["y_node"] == .integer)
    }

    @Test("a scale of attention and its Softmax are integer kernels")
    func attention() throws {
        let graph = smallGraph(
            [
                node("MatMul", ["x", "w"], ["q"]), node("Mul", ["q", "scale"], ["s"]),
                node("Transpose", ["x"], ["t"], ["perm": .ints([0, 1, 3, 2])]), node("MatMul", ["s", "t"], ["l"]),
                node("Softmax", ["l"], ["p"], ["axis": .int(-1)]), node("MatMul", ["p", "x"], ["y"]),
            ], [("w", noise([4, 4])), ("scale", floatTensor([0.5], shape: []))])
        let found = kernels(try graph.sample(for: .x86), .x86)
        for name in ["q", "s", "l", "p", "y"] { #expect(found["\(name)_node"] == .integer, "\(name)") }
        #expect(found["t_node"] == .moved)
    }

    @Test("what only moves codes keeps their scale; a linear Resize does not")
    func moving() throws {
        let graph = smallGraph(
            [
                node("Conv", ["x", "w"], ["c"]), node("Resize", ["c", "", "up"], ["r"]),
                node("Split", ["r", "sizes"], ["a", "b"], ["axis": .int(1)]), node("Add", ["a", "b"], ["s"]),
                node("Resize", ["s", "", "up"], ["l"], ["mode": .string("linear")]),
                node("GlobalAveragePool", ["l"], ["y"]),
            ],
            [
                ("w", noise([4, 2, 1, 1])), ("up", floatTensor([1, 1, 2, 2], shape: [4])),
                ("sizes", Tensor([Int64(2), 2], shape: [2])),
            ])
        #expect(graph.quantizationPoints() == ["x", "c", "s", "l", "y"])
        let found = kernels(try graph.sample(for: .x86), .x86)
        #expect(found["r_node"] == .moved && found["a_node"] == .moved)
        #expect(found["s_node"] == .integer && found["l_node"] == .float && found["y_node"] == .integer)
    }

    @Test("a Clip that cuts off more than the range keeps its kernel float, and the audit says so")
    func clamp() throws {
        var graph = smallGraph(
            [
                node("Conv", ["x", "w"], ["c"]), node("Clip", ["c", "low", "high"], ["k"]),
                node("Conv", ["k", "v"], ["y"]),
            ],
            [
                ("w", noise([4, 2, 1, 1])), ("v", noise([4, 4, 1, 1])), ("low", floatTensor([0], shape: [])),
                ("high", floatTensor([6], shape: [])),
            ])
        // The writer cuts the range of 0.05 x 255 to 6.
        var result = try graph.sample(for: .x86)
        #expect(kernels(result, .x86) == ["c_node": .integer, "k_node": .fused, "y_node": .integer])
        result.initializers["high"] = floatTensor([3], shape: [])
        let wrong = result.fusionAudit(for: .x86)
        #expect(wrong.floatEntries.map(\.name) == ["c_node", "k_node"])
        #expect(wrong.floatEntries[0].reason?.contains("cuts off more") == true)
        #expect(wrong.share(of: wrong.floatEntries[0]) == 1.0 / 3)
        // Bounds without 0 cannot be implied: the raw value is quantized instead.
        graph.initializers["low"] = floatTensor([1], shape: [])
        #expect(graph.quantizationPoints() == ["x", "c", "k", "y"])
    }

    @Test("a Relu that no kernel takes in is written as a LeakyRelu of slope 0, which has one")
    func rectifier() throws {
        let graph = smallGraph(
            [
                node("Conv", ["x", "w"], ["c"]), node("Relu", ["c"], ["r"]), node("Conv", ["r", "v"], ["d"]),
                node("Add", ["c", "d"], ["y"]),
            ], [("w", noise([4, 2, 1, 1])), ("v", noise([4, 4, 1, 1]))])
        #expect(graph.quantizationPoints() == ["x", "c", "r", "d", "y"])
        let result = try graph.sample(for: .x86)
        let rectifier = try #require(result.nodes.first { $0.name == "r_node" })
        #expect(rectifier.operatorType == "LeakyRelu" && rectifier.float("alpha") == 0)
        #expect(result.fusionAudit(for: .x86).floatEntries.isEmpty)
    }

    @Test("weights alone: matrices stay integers, convolutions become float at load time; dynamic chains fuse")
    func others() throws {
        let graph = try ModelBuilder.build(architecture: "cnn", seed: 1)
        let alone = try graph.sample(for: .int4, bits: 4, block: 32).fusionAudit(for: .int4)
        // The first is MatMul and Sub: a Gemm before a Relu would be fused in float32.
        let products = alone.entries.filter { ["Gemm", "MatMul"].contains($0.operator) }
        #expect(products.map(\.operator) == ["MatMul", "Gemm"])
        #expect(products.allSatisfy { $0.kernel == .integerWeights })
        let convolution = alone.entries.first { $0.operator == "Conv" }
        #expect(convolution?.reason?.contains("made float32 when the model is loaded") == true)
        let dynamic = try graph.sample(for: .dynamic)
        let found = kernels(dynamic, .dynamic)
        #expect(
            found["fc1"] ?? found[dynamic.nodes.first { $0.operatorType == "MatMulInteger" }?.name ?? ""] == .integer)
        #expect(dynamic.fusionAudit(for: .dynamic).entries.filter { $0.kernel == .fused }.count == 8)
    }

    @Test("a mean over pixels becomes a pool; means over other axes stay")
    func means() throws {
        func graph(_ axes: [Int64], keeps: Int64) -> Graph {
            smallGraph(
                [
                    node("Conv", ["x", "w"], ["c"]),
                    node("ReduceMean", ["c"], ["y"], ["axes": .ints(axes), "keepdims": .int(keeps)]),
                ], [("w", noise([4, 2, 1, 1]))])
        }
        let kept = graph([2, 3], keeps: 1).poolingSpatialMeans()
        #expect(kept.nodes.map(\.operatorType) == ["Conv", "GlobalAveragePool"])
        let flat = graph([-1, -2], keeps: 0).poolingSpatialMeans()
        #expect(flat.nodes.map(\.operatorType) == ["Conv", "GlobalAveragePool", "Flatten"])
        #expect(try flat.inferShapes(batch: 3)["y"] == [3, 4])
        #expect(flat.quantizationPoints() == ["x", "c", "y.pooled"])
        for axes: [Int64] in [[1, 2], [3], [1, 2, 3]] {
            #expect(graph(axes, keeps: 1).poolingSpatialMeans() == graph(axes, keeps: 1))
        }
    }
}
