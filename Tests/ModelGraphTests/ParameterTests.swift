import ModelGraph
import Tensors
import Testing

@Suite("Parameters, skeletons and operators")
struct ParameterTests {
    @Test("roles, order and prunable weights")
    func roles() throws {
        let graph = try ModelBuilder.build(
            architecture: "resnet20", inputShape: [3, 8, 8], classes: 4, width: 2, seed: 1)
        #expect(graph.parameters.map(\.name) == graph.initializers.names)
        #expect(graph.statisticNames.count == 2 * 21)
        #expect(graph.statisticNames.allSatisfy { $0.contains("running_") })
        #expect(graph.prunableNames.count == 21 + 1)
        #expect(graph.prunableNames.allSatisfy { $0.hasSuffix(".weight") && !$0.contains("norm") })
        #expect(graph.parameterTensors().names == graph.initializers.names)
    }

    @Test("constants, scalars and settings are no parameters; transposed weights are prunable")
    func notParameters() {
        var graph = smallGraph(
            [
                node("Transpose", ["w"], ["wt"]), node("MatMul", ["x", "wt"], ["a"]), node("Add", ["a", "b"], ["c"]),
                node("Mul", ["c", "scalar"], ["d"]), node("Mul", ["d", "fixed"], ["e"]),
                node("Clip", ["e", "low", ""], ["y"]),
            ],
            [
                ("w", ramp([4, 4])), ("b", ramp([4])), ("scalar", ramp([])), ("low", ramp([])), ("fixed", ramp([4])),
            ])
        graph.constantNames = ["fixed"]
        #expect(graph.parameters.map(\.name) == ["w", "b"])
        #expect(graph.prunableNames == ["w"])
    }

    @Test("a tensor of one element is a setting of arithmetic, but a bias or a normalisation's scale is a parameter")
    func oneElement() {
        let one = { (name: String) in (name, floatTensor([0.5], shape: [1])) }
        let graph = smallGraph(
            [
                node("Mul", ["x", "scale"], ["a"]), node("Add", ["a", "epsilon"], ["b"]),
                node("Where", ["mask", "fill", "b"], ["c"]), node("MatMul", ["c", "w"], ["d"]),
                node("Add", ["bias", "d"], ["e"]), node("PRelu", ["e", "slope"], ["f"]),
                node("InstanceNormalization", ["f", "gain", "shift"], ["y"]),
            ],
            ["scale", "epsilon", "fill", "bias", "slope", "gain", "shift"].map(one) + [("w", ramp([4, 1]))])
        #expect(graph.parameters.map(\.name) == ["bias", "slope", "gain", "shift", "w"])
    }

    @Test("weights are followed through what moves them; bounds, pads, states and integers are none")
    func followed() {
        let many = { (name: String) in (name, ramp([2, 2])) }
        let names = [
            "token", "positions", "layerScale", "cast", "table", "tied", "pads", "state", "W", "R", "low", "ratio",
            "query",
        ]
        var graph = smallGraph(
            [
                node("Expand", ["token", "size"], ["t1"]), node("Concat", ["t1", "x"], ["a"], ["axis": .int(1)]),
                node("Slice", ["positions", "ids", "ids"], ["p1"]), node("Add", ["a", "p1"], ["b"]),
                node("Mul", ["b", "layerScale"], ["c"]), node("Cast", ["cast"], ["k1"], ["to": .int(1)]),
                node("Unsqueeze", ["k1", "ids"], ["k2"]), node("Conv", ["c", "k2"], ["d"]),
                node("Gather", ["table", "ids"], ["g"]), node("Add", ["d", "g"], ["e"]),
                node("Gather", ["tied", "ids"], ["h"]), node("Transpose", ["tied"], ["h1"]),
                node("MatMul", ["h", "h1"], ["i"]), node("Pad", ["e", "size", "pads"], ["j"]),
                node("LSTM", ["j", "W", "R", "", "", "state"], ["k"]), node("Clip", ["k", "low"], ["l"]),
                node("Dropout", ["l", "ratio"], ["m"]), node("Attention", ["query", "m", "m"], ["n"]),
                node("Min", ["n", "low"], ["y"]),
            ], names.map(many) + [("ids", Tensor([Int64(0)], shape: [1])), ("size", Tensor([Int64(1)], shape: [1]))])
        graph.outputs.append(ValueInfo(name: "i", elementType: .float32, dimensions: nil))
        let expected = ["token", "positions", "layerScale", "cast", "table", "tied", "W", "R", "query"]
        #expect(graph.parameters.map(\.name) == expected)
        #expect(graph.prunableNames == ["cast", "tied", "W", "R"])
        // An initializer that is only handed out is not trained; one that is also used stays what it is.
        graph.outputs += ["low", "tied"].map { ValueInfo(name: $0, elementType: .float32, dimensions: nil) }
        graph.nodes.removeAll { ["Clip", "Min", "Dropout"].contains($0.operatorType) }
        #expect(graph.parameters.map(\.name) == expected)
    }

    @Test("running means and variances come in pairs, in node order")
    func statistics() throws {
        let graph = try ModelBuilder.build(
            architecture: "resnet20", inputShape: [3, 8, 8], classes: 4, width: 2, seed: 1)
        let pairs = graph.batchStatistics
        #expect(pairs.count == 21)
        #expect(pairs.flatMap { [$0.mean, $0.variance] } == graph.statisticNames)
        #expect(pairs[0].mean == "stem.norm.running_mean" && pairs[0].variance == "stem.norm.running_var")
        let shared = smallGraph(
            [
                node("BatchNormalization", ["x", "s", "b", "m", "v"], ["h"]),
                node("BatchNormalization", ["h", "s", "b", "m", "v"], ["y"]),
            ], ["s", "b", "m", "v"].map { ($0, ramp([2])) })
        #expect(shared.batchStatistics.map(\.mean) == ["m"])
        #expect(shared.statisticNames == ["m", "v"])
    }

    @Test("a skeleton carries shapes only and comes back whole")
    func skeleton() throws {
        let graph = try ModelBuilder.build(architecture: "cnn", seed: 5)
        let bytes = graph.skeleton().serialized()
        #expect(bytes.count < 4_000)
        let skeleton = try Graph.load(bytes, path: "skeleton")
        #expect(skeleton.isSkeleton)
        #expect(skeleton.parameters == graph.parameters)
        #expect(skeleton.serialized() == bytes)
        #expect(try skeleton.replacingParameters(graph.parameterTensors()) == graph)
        var partial = graph.parameterTensors()
        partial["fc1.bias"] = nil
        #expect(throws: ModelError.self) { try skeleton.replacingParameters(partial) }
        // The structure that other passes see must not depend on the values.
        #expect(
            skeleton.foldingBatchNormalization().quantizationPoints()
                == graph.foldingBatchNormalization().quantizationPoints())
    }

    @Test("wrong parameters are refused by name")
    func replacing() throws {
        let graph = try ModelBuilder.build(architecture: "mlp", inputShape: [4], classes: 2, width: 3, seed: 1)
        func failure(_ name: String, _ tensor: Tensor) -> String? {
            do throws(ModelError) {
                _ = try graph.replacingParameters(NamedTensors([(name, tensor)]))
                return nil
            } catch { return error.description }
        }
        #expect(failure("fc1.bias", ramp([3])) == nil)
        #expect(failure("fc9.bias", ramp([3])) == "the model has no parameter 'fc9.bias'")
        #expect(
            failure("fc1.bias", ramp([4])) == "parameter 'fc1.bias' is float32 of shape [3] but float32 [4] was given")
        #expect(failure("fc1.bias", Tensor([1, 2, 3] as [Int64], shape: [3]))?.contains("int64") == true)
    }

    @Test("unsupported operators are named with node and opset")
    func operators() {
        let supported: [String: ClosedRange<Int64>] = ["Relu": 13...21, "Gelu": 20...21]
        func failure(_ node: Node) -> String? {
            do throws(ModelError) {
                try smallGraph([node]).validateOperators(supported: supported)
                return nil
            } catch { return error.description }
        }
        #expect(failure(node("Relu", ["x"], ["y"])) == nil)
        #expect(
            failure(node("LSTM", ["x"], ["y"]))
                == "operator 'LSTM' (node 'y_node', opset 17) is not supported; supported are Gelu, Relu")
        #expect(failure(node("Gelu", ["x"], ["y"]))?.hasSuffix("it is supported from opset 20 to 21") == true)
        var custom = node("FusedConv", ["x"], ["y"])
        custom.domain = "com.microsoft"
        #expect(failure(custom)?.hasPrefix("operator 'com.microsoft::FusedConv' (node 'y_node', opset 17)") == true)
    }

    @Test("an opset is restated only where the operators mean the same")
    func opsets() throws {
        let graph = try ModelBuilder.build(
            architecture: "resnet20", inputShape: [3, 8, 8], classes: 4, width: 2, seed: 1)
        let old = try graph.convertingOpset(to: 13)
        #expect(old.opset == 13)
        #expect(old.nodes.allSatisfy { $0.attributes["training_mode"] == nil })
        let new = try graph.convertingOpset(to: 21)
        #expect(new.opset == 21 && new.irVersion == 10)
        #expect(new.nodes == graph.nodes)
        #expect(throws: ModelError.unsupportedOpset(26)) { try graph.convertingOpset(to: 26) }
        let mean = smallGraph([node("ReduceMean", ["x"], ["y"], ["axes": .ints([1])])])
        let restated = try mean.convertingOpset(to: 18)
        #expect(restated.nodes[0].inputs == ["x", "y_node.axes"] && restated.nodes[0].attributes.isEmpty)
        #expect(restated.initializers["y_node.axes"] == Tensor([Int64(1)], shape: [1]))
        #expect(try mean.convertingOpset(to: 13).opset == 13)
        var pool = smallGraph([
            node("AveragePool", ["x"], ["y"], ["kernel_shape": .ints([2, 2]), "ceil_mode": .int(0)])
        ])
        #expect(try pool.convertingOpset(to: 21).nodes == pool.nodes)
        pool.nodes[0].attributes["ceil_mode"] = .int(1)
        #expect(throws: ModelError.self) { try pool.convertingOpset(to: 21) }
        let norm = smallGraph([node("LayerNormalization", ["x", "s"], ["y"])], [("s", ramp([4]))])
        #expect(throws: ModelError.self) { try norm.convertingOpset(to: 16) }
        let odd = smallGraph(
            [node("Reshape", ["x", "s"], ["y"], ["allowzero": .int(1)])], [("s", Tensor([Int64(0)], shape: [1]))])
        #expect(throws: ModelError.self) { try odd.convertingOpset(to: 13) }
    }

    /// A node at one opset, asked for another; what must be said when it is refused.
    @Test(
        "only what changed is refused",
        arguments: [
            (node("ReduceMean", ["x"], ["y"], ["keepdims": .int(0)]), 13, 25, nil),
            (node("ReduceMax", ["x"], ["y"], ["axes": .ints([1])]), 17, 18, nil),
            (node("ReduceMax", ["x", "axes"], ["y"]), 18, 17, "changed with opset 18"),
            (node("ReduceSum", ["x", "axes"], ["y"]), 25, 13, nil),
            (node("Split", ["x"], ["y", "z"]), 17, 18, nil),
            (node("Split", ["x", "axes"], ["y"]), 17, 25, nil),
            (node("Pad", ["x", "axes", "", "axes"], ["y"]), 18, 17, "input 3 came with opset 18"),
            (node("Pad", ["x", "axes"], ["y"], ["mode": .string("wrap")]), 19, 18, "mode 'wrap' came with opset 19"),
            (node("Pad", ["x", "axes"], ["y"], ["mode": .string("edge")]), 25, 13, nil),
            (node("Resize", ["x"], ["y"], ["antialias": .int(1)]), 18, 17, "'antialias' came with opset 18"),
            (
                node("Resize", ["x"], ["y"], ["antialias": .int(0), "keep_aspect_ratio_policy": .string("stretch")]),
                19, 13, nil
            ),
            (node("GroupNormalization", ["x", "w", "w"], ["y"]), 18, 21, "changed with opset 21"),
            (node("Shape", ["x"], ["y"], ["end": .int(2)]), 15, 14, "'end' came with opset 15"),
            (node("LSTM", ["x", "w", "w"], ["y"], ["layout": .int(1)]), 14, 13, "'layout' came with opset 14"),
            (node("HardSwish", ["x"], ["y"]), 14, 13, "it came with opset 14"),
            (node("Attention", ["x", "x", "x"], ["y"]), 23, 25, nil),
            (node("ScatterND", ["x", "axes", "x"], ["y"], ["reduction": .string("max")]), 18, 16, "'max' came with"),
            (node("NonZero", ["x"], ["y"]), 13, 14, "is not known"),
        ] as [(Node, Int64, Int64, String?)])
    func history(changed: Node, from: Int64, to: Int64, reason: String?) {
        let graph = smallGraph([changed], [("axes", Tensor([Int64(1)], shape: [1])), ("w", ramp([2]))], opset: from)
        do throws(ModelError) {
            #expect(try graph.convertingOpset(to: to).opset == to)
            #expect(reason == nil, "\(changed.operatorType) from \(from) to \(to)")
        } catch {
            #expect(reason.map(error.description.contains) == true, "\(error)")
        }
    }
}
