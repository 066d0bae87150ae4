import ModelGraph
import Tensors
import Testing

/// Groups of small graphs, written out.
@Suite struct ChannelGroupTests {
    @Test func inputsAndOutputsStayAndOneChainIsOneGroup() throws {
        let graph = smallGraph(
            [
                node("Conv", ["x", "w1", "b1"], ["a"]), node("Relu", ["a"], ["r"]), node("Conv", ["r", "w2"], ["y"]),
            ], [("w1", try kernel(3, 2)), ("b1", try numbers(3)), ("w2", try kernel(4, 3))])
        let groups = try graph.channelGroups()
        #expect(groups.groups.map(describe) == ["w1 x3 = w1:0[0] b1:0[0] >w2:1[0]"])
        #expect(groups.groups[0].signature == "Conv.out Relu Conv.in")
        #expect(!groups.groups[0].isNormalizedOver)
        #expect(groups["w1"]?.channels == 3)
        #expect(groups.fixed.map { "\($0.parameter):\($0.axis)" } == ["w1:1", "w2:0"])
        #expect(groups.fixed[0].reason == "it belongs to the input 'x'")
        #expect(groups.fixed[1].reason == "it belongs to the output 'y'")
        // 16 places, one tap.
        #expect(groups.costs.map(\.macs) == [16 * 3 * 2, 16 * 4 * 3])
        #expect(groups.costs[0].factors.map(\.perChannel) == [["w1": 1], [:]])
        #expect(groups.costs[1].factors.map(\.perChannel) == [[:], ["w1": 1]])
        #expect(groups.costs[1].factors.map(\.extent) == [4, 3])
    }

    @Test func residualAddsJoinTheirBranches() throws {
        let graph = smallGraph(
            [
                node("Conv", ["x", "w1"], ["a"]), normalization("n1", "a", "b"),
                node("Conv", ["b", "w2"], ["c"]), node("Relu", ["c"], ["d"]), node("Conv", ["d", "w3"], ["e"]),
                node("Add", ["e", "b"], ["f"]), node("Conv", ["f", "w4"], ["y"]),
            ],
            [("w1", try kernel(3, 2)), ("w2", try kernel(5, 3)), ("w3", try kernel(3, 5)), ("w4", try kernel(2, 3))]
                + statistics("n1", 3))
        #expect(
            try graph.groupLines == [
                "w1 x3 = w1:0[0] >w2:1[0] w3:0[0] >w4:1[0] n1.scale:0[0] n1.shift:0[0] n1.mean:0[0] n1.variance:0[0]",
                "w2 x5 = w2:0[0] >w3:1[0]",
            ])
    }

    @Test func depthwiseFiltersPassChannelsOnAndGroupedOnesGoInStep() throws {
        let graph = smallGraph(
            [
                node("Conv", ["x", "w1"], ["a"]), node("Conv", ["a", "w2"], ["b"], ["group": .int(4)]),
                node("Conv", ["b", "w3"], ["c"], ["group": .int(2)]), node("Conv", ["c", "w4"], ["y"]),
            ],
            [("w1", try kernel(4, 2)), ("w2", try kernel(4, 1)), ("w3", try kernel(6, 2)), ("w4", try kernel(2, 6))])
        #expect(
            try graph.groupLines == [
                "w1 x2 = w1:0[0, 2] w2:0[0, 2] >w3:1[0]", "w3 x3 = w3:0[0, 3] >w4:1[0, 3]",
            ])
        let costs = try graph.channelGroups().costs
        #expect(costs[1].factors.map(\.perChannel) == [["w1": 2], [:]])
        #expect(costs[2].factors.map(\.perChannel) == [["w3": 2], ["w1": 1]])
    }

    @Test func depthwiseFiltersMayMakeSeveralChannelsOfOne() throws {
        let graph = smallGraph(
            [
                node("Conv", ["x", "w1"], ["a"]), node("Conv", ["a", "w2"], ["b"], ["group": .int(2)]),
                node("Conv", ["b", "w3"], ["y"]),
            ], [("w1", try kernel(2, 2)), ("w2", try kernel(4, 1)), ("w3", try kernel(1, 4))])
        #expect(try graph.groupLines == ["w1 x2 = w1:0[0] w2:0[0, 1] >w3:1[0, 1]"])
    }

    @Test func transposedConvolutionsHoldTheirAxesTheOtherWayRound() throws {
        let graph = smallGraph(
            [
                node("Conv", ["x", "w1"], ["a"]), node("ConvTranspose", ["a", "w2"], ["b"], ["group": .int(4)]),
                node("ConvTranspose", ["b", "w3", "b3"], ["c"]),
                node("ConvTranspose", ["c", "w4"], ["d"], ["group": .int(3)]),
                node("Conv", ["d", "w5"], ["y"]),
            ],
            [
                ("w1", try kernel(4, 2)), ("w2", try kernel(4, 1)), ("w3", try kernel(4, 6)), ("b3", try numbers(6)),
                ("w4", try kernel(6, 2)), ("w5", try kernel(1, 6)),
            ])
        #expect(
            try graph.groupLines == [
                "w1 x4 = w1:0[0] w2:0[0] >w3:0[0]", "w3 x2 = w3:1[0, 2, 4] b3:0[0, 2, 4] >w4:0[0, 2, 4]",
                "w4 x2 = w4:1[0] >w5:1[0, 2, 4]",
            ])
        let pruned = try graph.keepingFirst(1)
        #expect(pruned.graph.nodes[1].int("group") == 1)
        #expect(pruned.graph.extents("w4") == [3, 1, 1, 1])
    }

    @Test func groupNormalizationsKeepTheirGroupsEven() throws {
        for (groups, opset, line) in [
            (2, Int64(21), "w1 x2 = w1:0[0, 2] s:0[0, 2] h:0[0, 2] >w2:1[0, 2]"),
            (4, 21, "w1 x4 = w1:0[0] s:0[0] h:0[0] >w2:1[0]"),
            (2, 18, "w1 x2 = w1:0[0, 2] >w2:1[0, 2]"),
        ] {
            let count = opset < 21 ? groups : 4
            let graph = smallGraph(
                [
                    node("Conv", ["x", "w1"], ["a"]),
                    node("GroupNormalization", ["a", "s", "h"], ["b"], ["num_groups": .int(Int64(groups))]),
                    node("Conv", ["b", "w2"], ["y"]),
                ],
                [
                    ("w1", try kernel(4, 2)), ("s", try numbers(count)), ("h", try numbers(count)),
                    ("w2", try kernel(1, 4)),
                ], opset: opset)
            #expect(try graph.groupLines == [line])
            #expect(try graph.channelGroups().groups[0].isNormalizedOver == (groups == 2))
            let pruned = try graph.keepingFirst(1)
            #expect(pruned.graph.nodes[1].int("num_groups") == (groups == 4 ? 1 : 2))
        }
    }

    @Test func embeddingsLoseColumnsAndWordsStay() throws {
        var graph = smallGraph(
            [
                node("Gather", ["words", "x"], ["a"]), node("Add", ["a", "places"], ["b"]),
                node("MatMul", ["b", "w1"], ["y"]),
            ], [("words", ramp([9, 4])), ("places", ramp([1, 6, 4])), ("w1", ramp([4, 2]))], input: [6])
        graph.inputs[0].elementType = .int64
        #expect(try graph.groupLines == ["words x4 = words:1[0] places:2[0] >w1:0[0]"])
        let pruned = try graph.keepingFirst(3)
        #expect(pruned.notes.isEmpty)
        #expect(pruned.graph.nodes.count == 3)
    }

    @Test func concatSplitAndSliceKeepOffsets() throws {
        let graph = smallGraph(
            [
                node("Conv", ["x", "w1"], ["a"]), node("Conv", ["x", "w2"], ["b"]),
                node("Concat", ["a", "b"], ["c"], ["axis": .int(1)]),
                node("Split", ["c", "parts"], ["d", "e"], ["axis": .int(1)]),
                node("Slice", ["e", "starts", "ends", "axes"], ["f"]),
                node("Conv", ["d", "w3"], ["g"]), node("Conv", ["f", "w4"], ["h"]), node("Add", ["g", "h"], ["y"]),
            ],
            [
                ("w1", try kernel(3, 2)), ("w2", try kernel(5, 2)), ("w3", try kernel(1, 3)), ("w4", try kernel(1, 3)),
                ("parts", Tensor([Int64(3), 5], shape: [2])), ("starts", Tensor([Int64(2)], shape: [1])),
                ("ends", Tensor([Int64(99)], shape: [1])), ("axes", Tensor([Int64(1)], shape: [1])),
            ])
        #expect(
            try graph.groupLines == [
                "w1 x3 = w1:0[0] >w3:1[0]", "w2 x2 = w2:0[0]", "w2.2 x3 = w2:0[2] >w4:1[0]",
            ])
    }

    @Test func flattenedMapsTakeAllTheirPlacesAlong() throws {
        let graph = smallGraph(
            [
                node("Conv", ["x", "w1"], ["a"]), node("Flatten", ["a"], ["b"]),
                node("Gemm", ["b", "w2", "b2"], ["c"], ["transB": .int(1)]), node("Gemm", ["c", "w3"], ["y"]),
            ],
            [
                ("w1", try kernel(3, 2)), ("w2", ramp([5, 48])), ("b2", try numbers(5)), ("w3", ramp([5, 2])),
            ])
        let groups = try graph.channelGroups().groups
        #expect(groups.map(\.name) == ["w1", "w2"])
        #expect(groups[0].members[1].places == [Array(0..<16), Array(16..<32), Array(32..<48)])
        #expect(describe(groups[1]) == "w2 x5 = w2:0[0] b2:0[0] >w3:0[0]")
    }

    @Test func gatesOfSqueezeAndExcitationFollowTheirMaps() throws {
        let graph = smallGraph(
            [
                node("Conv", ["x", "w1"], ["a"]), node("GlobalAveragePool", ["a"], ["p"]),
                node("Conv", ["p", "w2", "b2"], ["q"]), node("Relu", ["q"], ["r"]),
                node("Conv", ["r", "w3", "b3"], ["s"]), node("Sigmoid", ["s"], ["t"]), node("Mul", ["a", "t"], ["u"]),
                node("Conv", ["u", "w4"], ["y"]),
            ],
            [
                ("w1", try kernel(4, 2)), ("w2", try kernel(2, 4)), ("b2", try numbers(2)), ("w3", try kernel(4, 2)),
                ("b3", try numbers(4)), ("w4", try kernel(1, 4)),
            ])
        #expect(
            try graph.groupLines == [
                "w1 x4 = w1:0[0] >w2:1[0] w3:0[0] b3:0[0] >w4:1[0]", "w2 x2 = w2:0[0] b2:0[0] >w3:1[0]",
            ])
    }

    /// [batch, 6, 8] tokens, 2 heads of 4.
    private func attention(fused: Bool) -> Graph {
        func shaped(_ values: [Int64]) -> Tensor {
            Tensor(elements: values, elementType: .int64, shape: [values.count])
        }
        var nodes: [Node] = []
        var weights: [(String, Tensor)] = []
        if fused {
            nodes += [
                node("MatMul", ["x", "wqkv"], ["qkv"]), node("Reshape", ["qkv", "three"], ["qkv5"]),
                node("Transpose", ["qkv5"], ["t"], ["perm": .ints([2, 0, 3, 1, 4])]),
            ]
            weights.append(("wqkv", ramp([8, 24])))
            for (index, name) in ["q", "k", "v"].enumerated() {
                weights.append(("at\(name)", Tensor([Int64(index)], shape: [])))
                nodes.append(node("Gather", ["t", "at\(name)"], ["\(name)t"], ["axis": .int(0)]))
            }
            weights.append(("three", shaped([0, 0, 3, 2, 4])))
        } else {
            for name in ["q", "k", "v"] {
                weights.append(("w\(name)", ramp([8, 8])))
                nodes += [
                    node("MatMul", ["x", "w\(name)"], [name]), node("Reshape", [name, "heads"], ["\(name)h"]),
                    node("Transpose", ["\(name)h"], ["\(name)t"], ["perm": .ints([0, 2, 1, 3])]),
                ]
            }
            weights.append(("heads", shaped([0, 0, 2, 4])))
        }
        nodes += [
            node("Transpose", ["kt"], ["ktt"], ["perm": .ints([0, 1, 3, 2])]), node("MatMul", ["qt", "ktt"], ["s"]),
            node("Softmax", ["s"], ["p"], ["axis": .int(-1)]), node("MatMul", ["p", "vt"], ["o"]),
            node("Transpose", ["o"], ["ot"], ["perm": .ints([0, 2, 1, 3])]), node("Reshape", ["ot", "join"], ["j"]),
            node("MatMul", ["j", "wo"], ["y"]),
        ]
        weights += [("wo", ramp([8, 8])), ("join", shaped([0, 0, 8]))]
        return smallGraph(nodes, weights, input: [6, 8])
    }

    @Test func headsOfAttentionMeetInItsProducts() throws {
        #expect(
            try attention(fused: false).groupLines == [
                "wq heads x2 = wq:1[0, 1, 2, 3] wk:1[0, 1, 2, 3] wv:1[0, 1, 2, 3] >wo:0[0, 1, 2, 3]"
            ])
        #expect(
            try attention(fused: true).groupLines == [
                "wqkv heads x2 = wqkv:1[0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19] >wo:0[0, 1, 2, 3]"
            ])
    }

    @Test func lettersOfAnEinsumAreOneAxis() throws {
        let graph = smallGraph(
            [
                node("Einsum", ["x", "wq"], ["q"], ["equation": .string("blc,chd->bhld")]),
                node("Einsum", ["x", "wk"], ["k"], ["equation": .string("blc,chd->bhld")]),
                node("Einsum", ["q", "k"], ["s"], ["equation": .string("bhid,bhjd->bhij")]),
                node("Softmax", ["s"], ["p"]),
                node("Einsum", ["p", "x", "wo"], ["y"], ["equation": .string("bhij,bjc,hco->bio")]),
            ], [("wq", ramp([8, 2, 4])), ("wk", ramp([8, 2, 4])), ("wo", ramp([2, 8, 3]))], input: [6, 8])
        let groups = try graph.channelGroups()
        #expect(
            groups.groups.map(describe) == [
                "wq heads x2 = wq:1[0] wk:1[0] >wo:0[0]", "wq.2 x4 = wq:2[0] wk:2[0]",
            ])
        #expect(groups.costs[2].macs == 2 * 6 * 6 * 4)
        #expect(groups.costs[2].factors.map(\.perChannel).filter { !$0.isEmpty } == [["wq.2": 1], ["wq": 1]])
        let pruned = try graph.keepingFirst(1)
        #expect(try pruned.graph.inferShapes(batch: 2)["s"]?.dimensions == [2, 1, 6, 6])
        // Softmax of a dead head's scores is no constant, and nothing behind it silences it.
        #expect(pruned.notes.map(\.reason) == [.notConstant])
    }

    @Test func headsLeaveAndShapesFollow() throws {
        for fused in [false, true] {
            let pruned = try attention(fused: fused).keepingFirst(1)
            let shapes = try pruned.graph.inferShapes(batch: 2)
            #expect(shapes["qt"]?.dimensions == [2, 1, 6, 4])
            #expect(shapes["j"]?.dimensions == [2, 6, 4])
            #expect(shapes["y"]?.dimensions == [2, 6, 8])
            #expect(pruned.graph.extents("wo") == [4, 8])
            #expect(pruned.notes.isEmpty)
        }
    }

    @Test func tiedWeightsGoTogether() throws {
        let graph = smallGraph(
            [
                node("MatMul", ["x", "w1"], ["a"]), node("MatMul", ["a", "w2"], ["b"]), node("Relu", ["b"], ["c"]),
                node("MatMul", ["c", "w2"], ["d"]), node("MatMul", ["d", "w3"], ["y"]),
            ], [("w1", ramp([3, 4])), ("w2", ramp([4, 4])), ("w3", ramp([4, 2]))], input: [3])
        #expect(try graph.groupLines == ["w1 x4 = w1:1[0] >w2:0[0] w2:1[0] >w3:0[0]"])
    }

    @Test func weightsBehindATransposeKeepTheirSides() throws {
        let graph = smallGraph(
            [
                node("Transpose", ["w1"], ["t"]), node("MatMul", ["x", "t"], ["a"]), node("Add", ["b1", "a"], ["b"]),
                node("MatMul", ["b", "w2"], ["y"]),
            ], [("w1", ramp([4, 3])), ("b1", ramp([4])), ("w2", ramp([4, 2]))], input: [3])
        #expect(try graph.groupLines == ["w1 x4 = w1:0[0] b1:0[0] >w2:0[0]"])
    }

    @Test func normalisationsOverChannelsAreMarked() throws {
        let graph = smallGraph(
            [
                node("MatMul", ["x", "w1"], ["a"]), node("LayerNormalization", ["a", "s", "h"], ["b"]),
                node("MatMul", ["b", "w2"], ["y"]),
            ], [("w1", ramp([3, 4])), ("s", ramp([4])), ("h", ramp([4])), ("w2", ramp([4, 2]))], input: [5, 3])
        let groups = try graph.channelGroups().groups
        #expect(groups.map(describe) == ["w1 x4 = w1:1[0] s:0[0] h:0[0] >w2:0[0]"])
        #expect(groups[0].isNormalizedOver)
    }

    @Test func shuffledChannelsGoInStep() throws {
        let graph = smallGraph(
            [
                node("Conv", ["x", "w1"], ["a"]), node("Reshape", ["a", "cut"], ["b"]),
                node("Transpose", ["b"], ["c"], ["perm": .ints([0, 2, 1, 3, 4])]),
                node("Reshape", ["c", "join"], ["d"]),
                node("Conv", ["d", "w2"], ["y"]),
            ],
            [
                ("w1", try kernel(6, 2)), ("w2", try kernel(1, 6)),
                ("cut", Tensor([Int64(0), 2, 3, 4, 4], shape: [5])),
                ("join", Tensor([Int64(0), -1, 4, 4], shape: [4])),
            ])
        #expect(try graph.groupLines == ["w1 x3 = w1:0[0, 3] >w2:1[0, 1]"])
        let pruned = try graph.keepingFirst(2)
        #expect(try pruned.graph.inferShapes(batch: 3)["b"]?.dimensions == [3, 2, 2, 4, 4])
        #expect(pruned.graph.extents("w2") == [1, 4, 1, 1])
        #expect(pruned.slices.kept["w2"] == [1: [0, 1, 2, 3]])
        #expect(pruned.slices.kept["w1"] == [0: [0, 1, 3, 4]])
    }

    @Test func indicesOutsideAreNoTrap() throws {
        for index in [Int64(-100), 100, .min, .max] {
            let graph = smallGraph(
                [
                    node("Conv", ["x", "w1"], ["a"]), normalization("n1", "a", "b"),
                    node("Gather", ["b", "order"], ["c"], ["axis": .int(1)]), node("Conv", ["c", "w2"], ["d"]),
                    node("Conv", ["d", "w3"], ["y"]),
                ],
                [
                    ("w1", try kernel(3, 2)), ("w2", try kernel(2, 2)), ("w3", try kernel(1, 2)),
                    ("order", Tensor([index, 0], shape: [2])),
                ] + statistics("n1", 3))
            #expect(try graph.groupLines == ["w2 x2 = w2:0[0] >w3:1[0]"])
            #expect(try graph.keepingFirst(1).graph.extents("w3") == [1, 1, 1, 1])
        }
    }

    @Test func axesTooLongToFollowAreRefused() throws {
        let graph = smallGraph(
            [node("Expand", ["x", "shape"], ["y"])],
            [("shape", Tensor([Int64(1), 1 << 30, 4, 4], shape: [4]))], input: [1, 4, 4])
        #expect(
            throws: ModelError.invalidRequest(
                "the axes of value 'y' are too long to look for groups of channels")
        ) { try graph.channelGroups() }
    }

    @Test func whatIsNotUnderstoodStays() throws {
        let graph = smallGraph(
            [
                node("MatMul", ["x", "w1"], ["a"]), node("Softmax", ["a"], ["b"]), node("MatMul", ["b", "w2"], ["c"]),
                node("CumSum", ["c", "axis"], ["d"]), node("MatMul", ["d", "w3"], ["y"]),
            ],
            [
                ("w1", ramp([3, 4])), ("w2", ramp([4, 5])), ("axis", Tensor([Int64(1)], shape: [])),
                ("w3", ramp([5, 2])),
            ], input: [3])
        let groups = try graph.channelGroups()
        #expect(groups.groups.isEmpty)
        #expect(groups.fixed.first { $0.parameter == "w2" && $0.axis == 0 }?.reason == "Softmax 'b_node' mixes it")
    }
}
