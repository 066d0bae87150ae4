import ModelGraph
import Tensors
import Testing

/// What leaves a graph with its channels, and what stays of what they emitted.
@Suite struct ChannelKeepingTests {
    private func chain() throws -> Graph {
        smallGraph(
            [
                node("Conv", ["x", "w1"], ["a"]), normalization("n1", "a", "b"), node("Relu", ["b"], ["c"]),
                node("Conv", ["c", "w2"], ["d"]), normalization("n2", "d", "e"), node("Flatten", ["e"], ["f"]),
                node("Gemm", ["f", "w3", "b3"], ["y"]),
            ],
            [
                ("w1", try kernel(3, 2)), ("w2", try kernel(2, 3)), ("w3", ramp([32, 2])), ("b3", try numbers(2)),
            ] + statistics("n1", 3) + statistics("n2", 2))
    }

    @Test func constantsGoIntoTheRunningMeanBehind() throws {
        let graph = try chain()
        let groups = try graph.channelGroups()
        let pruned = try graph.keeping(["w1": [1, 2]], of: groups)
        #expect(pruned.graph.extents("w1") == [2, 2, 1, 1])
        #expect(pruned.graph.extents("w2") == [2, 2, 1, 1])
        #expect(pruned.graph.extents("n1.mean") == [2])
        #expect(pruned.notes.isEmpty)
        // Channel 0 emits relu(0.3): its shift, as its running mean is zeroed too.
        let before = try #require(graph.initializers["n2.mean"]).floats
        let after = try #require(pruned.graph.initializers["n2.mean"]).floats
        let weights = try #require(graph.initializers["w2"]).floats
        for output in 0..<2 { #expect(abs(after[output] - (before[output] - weights[output * 3] * 0.3)) < 1e-6) }
        #expect(pruned.slices.kept["w2"] == [1: [1, 2]])
        #expect(pruned.slices.removed.isEmpty)
    }

    @Test func constantsGoThroughAFlattenIntoABias() throws {
        let graph = try chain()
        let pruned = try graph.keeping(["w2": [1]], of: try graph.channelGroups())
        #expect(pruned.graph.extents("w3") == [16, 2])
        // Channel 0 of n2 emits 0.3 at each of 16 places.
        let weights = try #require(graph.initializers["w3"]).floats
        let before = try #require(graph.initializers["b3"]).floats
        let after = try #require(pruned.graph.initializers["b3"]).floats
        for output in 0..<2 {
            let sum = (0..<16).reduce(Float(0)) { $0 + weights[$1 * 2 + output] * 0.3 }
            #expect(abs(after[output] - before[output] - sum) < 1e-4)
        }
    }

    @Test func layersWithoutABiasGetOne() throws {
        let graph = smallGraph(
            [
                node("Conv", ["x", "w1"], ["a"]), normalization("n1", "a", "b"), node("Conv", ["b", "w2"], ["c"]),
                node("Relu", ["c"], ["y"]),
            ], [("w1", try kernel(3, 2)), ("w2", try kernel(2, 3))] + statistics("n1", 3))
        let pruned = try graph.keepingFirst(2)
        #expect(pruned.graph.nodes[2].inputs == ["b", "w2", "w2.bias"])
        #expect(pruned.graph.extents("w2.bias") == [2])
        #expect(pruned.graph.trainableNames.contains("w2.bias"))
    }

    @Test func productsWithoutABiasGetAnAdd() throws {
        let graph = smallGraph(
            [
                node("MatMul", ["x", "w1"], ["a"]), node("Sigmoid", ["a"], ["b"]), node("MatMul", ["b", "w2"], ["y"]),
            ], [("w1", ramp([3, 4])), ("w2", ramp([4, 2]))], input: [3])
        let pruned = try graph.keepingFirst(3)
        #expect(pruned.graph.nodes.map(\.operatorType) == ["MatMul", "Sigmoid", "MatMul", "Add"])
        #expect(pruned.graph.outputs.map(\.name) == ["y"])
        // Sigmoid of nothing is a half.
        let weights = try #require(graph.initializers["w2"]).floats
        let bias = try #require(pruned.graph.initializers["w2.bias"]).floats
        #expect(abs(bias[0] - weights[6] / 2) < 1e-6 && abs(bias[1] - weights[7] / 2) < 1e-6)
    }

    @Test func bordersAreNotedOrRefused() throws {
        let graph = smallGraph(
            [
                node("Conv", ["x", "w1"], ["a"]), normalization("n1", "a", "b"),
                node("Conv", ["b", "w2"], ["y"], ["pads": .ints([1, 1, 1, 1])]),
            ], [("w1", try kernel(4, 2)), ("w2", try kernel(2, 4, 3))] + statistics("n1", 4))
        let groups = try graph.channelGroups()
        let pruned = try graph.keeping(["w1": [0, 1]], of: groups)
        #expect(
            pruned.notes == [PruningNote(group: "w1", channels: [2, 3], node: "y_node", reason: .border)])
        #expect(
            throws: ModelError.invalidRequest(
                "what channels 2, 3 of group 'w1' emit meets the padded border of node 'y_node'; keep them")
        ) { try graph.keeping(["w1": [0, 1]], of: groups, borders: .keep) }
    }

    @Test func sharedTensorsAreCopiedBeforeTheyChange() throws {
        let graph = smallGraph(
            [
                node("Conv", ["x", "w1"], ["a"]), normalization("n1", "a", "b"),
                node("Conv", ["b", "w2", "shared"], ["c"]), node("Conv", ["x", "w3", "shared"], ["d"]),
                node("Add", ["c", "d"], ["y"]),
            ],
            [
                ("w1", try kernel(3, 2)), ("w2", try kernel(2, 3)), ("w3", try kernel(2, 2)),
                ("shared", try numbers(2)),
            ] + statistics("n1", 3))
        let pruned = try graph.keepingFirst(2)
        #expect(pruned.graph.nodes[2].inputs[2] == "shared.pruned")
        #expect(pruned.graph.initializers["shared"] == graph.initializers["shared"])
        #expect(pruned.graph.initializers["shared.pruned"] != graph.initializers["shared"])
    }

    @Test func attributesFollow() throws {
        let graph = smallGraph(
            [
                node("Conv", ["x", "w1"], ["a"]), node("Conv", ["a", "w2"], ["b"], ["group": .int(4)]),
                node("Split", ["b", "parts"], ["c", "d"], ["axis": .int(1)]),
                node("Concat", ["d", "c"], ["e"], ["axis": .int(1)]),
                node("Slice", ["e", "starts", "ends", "axes"], ["f"]),
                node("Gather", ["f", "order"], ["g"], ["axis": .int(1)]),
                node("Conv", ["g", "w3"], ["y"]),
            ],
            [
                ("w1", try kernel(4, 2)), ("w2", try kernel(4, 1)), ("parts", Tensor([Int64(1), 3], shape: [2])),
                ("starts", Tensor([Int64(-3)], shape: [1])), ("ends", Tensor([Int64(4)], shape: [1])),
                ("axes", Tensor([Int64(1)], shape: [1])), ("order", Tensor([Int64(2), 0, 1], shape: [3])),
                ("w3", try kernel(1, 3)),
            ])
        // Channel 0 is a part of its own, which may not vanish; channel 1 is sliced away.
        #expect(try graph.groupLines == ["w1 x2 = w1:0[2] w2:0[2] >w3:1[1]"])
        let pruned = try graph.keeping(["w1": [1]], of: try graph.channelGroups())
        let byType = Dictionary(
            pruned.graph.nodes.map { ($0.operatorType, $0) }, uniquingKeysWith: { first, _ in first })
        #expect(pruned.graph.nodes[1].int("group") == 3)
        let parts = try #require(byType["Split"]?.inputs.last)
        #expect(pruned.graph.initializers[parts]?.elements(as: Int64.self) == [1, 2])
        let starts = try #require(byType["Slice"]?.inputs[1])
        #expect(pruned.graph.initializers[starts]?.elements(as: Int64.self) == [1])
        let order = try #require(byType["Gather"]?.inputs[1])
        #expect(pruned.graph.initializers[order]?.elements(as: Int64.self) == [1, 0])
        #expect(pruned.slices.removed == ["parts", "starts", "ends", "order"])
        #expect(try pruned.graph.inferShapes(batch: 1)["y"]?.dimensions == [1, 1, 4, 4])
    }

    @Test func shapesJoinedFromOpenAxesKeepThose() throws {
        func shaped(_ values: [Int64]) -> Tensor {
            Tensor(elements: values, elementType: .int64, shape: [values.count])
        }
        var graph = smallGraph(
            [
                node("Shape", ["x"], ["size"]), node("Slice", ["size", "zero", "two"], ["open"]),
                node("Reshape", ["x", "rows"], ["r"]), node("Gemm", ["r", "w1"], ["a"]),
                node("Concat", ["open", "width"], ["target"], ["axis": .int(0)]),
                node("Reshape", ["a", "target"], ["b"]), node("MatMul", ["b", "w2"], ["y"]),
            ],
            [
                ("zero", shaped([0])), ("two", shaped([2])), ("rows", shaped([-1, 3])), ("w1", ramp([3, 4])),
                ("width", shaped([4])), ("w2", ramp([4, 2])),
            ], input: [5, 3])
        graph.inputs[0].dimensions = [.symbolic("batch"), .symbolic("length"), .fixed(3)]
        let pruned = try graph.keepingFirst(3)
        for (batch, length) in [(1, 1), (2, 9)] {
            let shapes = try pruned.graph.inferShapes(batch: batch, extents: ["length": length])
            #expect(shapes["b"]?.dimensions == [batch, length, 3])
        }
        #expect(pruned.slices.removed == ["width"])
    }

    @Test func impossibleRequestsAreRefused() throws {
        let graph = try chain()
        let groups = try graph.channelGroups()
        func failure(_ kept: [String: [Int]]) -> String {
            do {
                _ = try graph.keeping(kept, of: groups)
                return ""
            } catch { return error.description }
        }
        #expect(failure(["w4": [0]]) == "the model has no group of channels 'w4'; did you mean 'w1'?")
        #expect(failure(["w1": []]) == "group 'w1' would vanish; keep at least 1 of its 3 channels")
        for wrong in [[3], [-1], [1, 0], [1, 1]] {
            #expect(failure(["w1": wrong]) == "the channels to keep of group 'w1' must ascend from 0 to at most 2")
        }
        let other = smallGraph([node("Relu", ["x"], ["y"])])
        #expect(throws: ModelError.invalidRequest("group 'w1' does not belong to this model")) {
            try other.keeping(["w1": [0]], of: groups)
        }
    }

    @Test func nothingToRemoveChangesNothing() throws {
        let graph = try chain()
        let groups = try graph.channelGroups()
        #expect(try graph.keeping([:], of: groups).graph == graph)
        #expect(try graph.keeping(["w1": [0, 1, 2]], of: groups).graph == graph)
    }

    @Test func slicesComposeAndApplyToOtherTensors() throws {
        let graph = try chain()
        let first = try graph.keeping(["w1": [0, 2]], of: try graph.channelGroups())
        let second = try first.graph.keeping(["w1": [1], "w2": [0]], of: try first.graph.channelGroups())
        let both = first.slices.followed(by: second.slices)
        #expect(both.kept["w1"] == [0: [2]])
        #expect(both.kept["w2"] == [0: [0], 1: [2]])
        let weight = try #require(graph.initializers["w2"])
        #expect(both.apply(to: weight, named: "w2") == second.graph.initializers["w2"])
        #expect(both.apply(to: weight, named: "elsewhere") == weight)
        #expect(ParameterSlices(kept: ["w": [7: [0]]]).apply(to: weight, named: "w") == weight)
    }

    @Test func maskedProducersAreZeroAndNormalisationsStay() throws {
        let graph = try chain()
        let masked = try graph.masking(["w1": [0, 2]], of: try graph.channelGroups())
        #expect(masked.initializers["w1"]?.floats[2..<4].allSatisfy { $0 == 0 } == true)
        #expect(masked.initializers["n1.mean"]?.floats[1] == 0)
        for name in ["w2", "n1.scale", "n1.shift", "n1.variance", "n2.mean"] {
            #expect(masked.initializers[name] == graph.initializers[name])
        }
    }
}
