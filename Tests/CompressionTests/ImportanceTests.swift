import ModelGraph
import Tensors
import Testing

@testable import Compression

/// Each criterion against numbers worked out by hand on `HandModel`: w1 = [1 -2; 0.5 0.5; 3 0] makes three channels,
/// w2 = [1 0 2; -1 4 0] reads them.
struct ImportanceTests {
    private func importance(_ criterion: PruningCriterion, _ statistics: NamedTensors = NamedTensors()) -> Importance {
        Importance(graph: HandModel.graph, criterion: criterion, statistics: statistics)
    }

    private func weights(_ importance: Importance, _ name: String) throws -> [Double]? {
        try importance.ofWeights()[name]?.floats.map(Double.init)
    }

    private func channels(_ importance: Importance) throws -> [Double]? {
        try importance.ofChannels([HandModel.group])["w1"]
    }

    /// The mean of two members, each divided by its mean over the channels.
    private func mean(_ a: [Double], _ b: [Double]) -> [Double] {
        let (meanA, meanB) = (a.reduce(0, +) / 3, b.reduce(0, +) / 3)
        return zip(a, b).map { ($0 / meanA + $1 / meanB) / 2 }
    }

    @Test func l1() throws {
        #expect(try weights(importance(.l1), "w1") == [1, 2, 0.5, 0.5, 3, 0])
        // Rows of w1: 3, 1, 3. Columns of w2: 2, 4, 2.
        #expect(
            expectClose(
                try channels(importance(.l1)), [(9.0 / 7 + 0.75) / 2, (3.0 / 7 + 1.5) / 2, (9.0 / 7 + 0.75) / 2]))
    }

    @Test func l2() throws {
        #expect(try weights(importance(.l2), "w2") == [1, 0, 4, 1, 16, 0])
        #expect(expectClose(try channels(importance(.l2)), mean([5, 0.5, 9], [2, 16, 4])))
    }

    @Test func taylor() throws {
        let found = importance(.taylor, HandModel.statistics([0.5, -1, 0.25, 0, -2, 0.5], [1, -3, 0, 0, 1, -2]))
        #expect(try weights(found, "w1") == [0.5, 1, 0.25, 0, 2, 0.5])
        // Σ|w·g| by row: 1.5, 0.25, 2.5; by column: 1, 4, 2.
        #expect(expectClose(try channels(found), mean([1.5, 0.25, 2.5], [1, 4, 2])))
    }

    /// E[g] = ±3, E[g²] = 25: Var 16, score 5, SNR 3/4. A second moment below the square of the mean, as rounding may
    /// leave it, is a variance of 0.
    @Test func stability() throws {
        var statistics = HandModel.statistics([3, -3, 0, 1, 0, 0], [0, 0, 0, 0, 0, 0])
        for (name, tensor) in HandModel.statistics([25, 25, 4, 0.5, 0, 0], [0, 0, 0, 0, 0, 1], square: true).ordered {
            statistics[name] = Tensor(tensor.floats.map { $0 * ScoreStatistic.squareScale }, shape: tensor.shape)
        }
        let found = importance(.stability, statistics)
        #expect(try weights(found, "w1") == [5, 5, 2, 1, 0, 0])
        #expect(expectClose(try channels(found), mean([10, 3, 0], [0, 0, 1])))
        // w1: 3/4, 3/4, 0, 1/1e-8, 0, 0; w2: five times 0, and 0/1; then with all but the first, second and fourth dead.
        #expect(try found.medianSignalToNoise() == 0)
        var alive = Bitmap(repeating: false, count: 6)
        for index in [0, 1, 3] { alive[index] = true }
        let masks = MaskSet(epoch: 1, bitmaps: ["w1": alive, "w2": Bitmap(repeating: false, count: 6)])
        let masked = Importance(graph: HandModel.graph, criterion: .stability, statistics: statistics, masks: masks)
        #expect(expectClose(try masked.medianSignalToNoise().map { [$0] }, [0.75]))
        #expect(throws: CompressionError.self) { try importance(.l1).medianSignalToNoise() }
    }

    @Test func fisher() throws {
        let statistics = NamedTensors(
            HandModel.statistics([1, 2, 4, 0, 0.5, 9], [0, 1, 1, 3, 0.25, 0], square: true).ordered.map {
                ($0.name, Tensor($0.tensor.floats.map { $0 * 1024 }, shape: $0.tensor.shape))
            })
        let found = importance(.fisher, statistics)
        // w²·E[g²]: 1·1, 4·2, 0.25·4, 0.25·0, 9·0.5, 0·9.
        #expect(try weights(found, "w1") == [1, 8, 1, 0, 4.5, 0])
        #expect(expectClose(try channels(found), mean([9, 1, 4.5], [3, 4, 4])))
    }

    @Test func lamp() throws {
        // Squares of w1: 1, 4, 0.25, 0.25, 9, 0; sorted 9, 4, 1, 0.25 (the first), 0.25, 0 with sums 9, 13, 14, 14.25,
        // 14.5, 14.5.
        #expect(
            expectClose(
                try weights(importance(.lamp), "w1"), [1.0 / 14, 4.0 / 13, 0.25 / 14.25, 0.25 / 14.5, 1, 0]))
        // Of channels: the mean of rows 5, 0.5, 9 and columns 2, 16, 4 is 3.5, 8.25, 6.5.
        #expect(expectClose(try channels(importance(.lamp)), [3.5 / 18.25, 1, 6.5 / 14.75]))
        let zeros = Importance(weights: NamedTensors([("z", Tensor(zeros: [4]))]), criterion: .lamp)
        #expect(try zeros.ofWeights()["z"]?.floats == [0, 0, 0, 0])
    }

    @Test func movement() throws {
        let found = importance(.movement, HandModel.statistics([0.5, -1, 0, 0, 2, 0], [0, -3, 1, 0, 0, 0]))
        // The least, -3, becomes 0.
        #expect(try weights(found, "w1") == [3.5, 2, 3, 3, 5, 3])
        #expect(try weights(found, "w2") == [3, 0, 4, 3, 3, 3])
        // Rows -0.5, 0, 2 become 0, 0.5, 2.5; columns 0, -3, 1 become 3, 0, 4.
        #expect(expectClose(try channels(found), mean([0, 0.5, 2.5], [3, 0, 4])))
    }

    @Test func geometricMedian() throws {
        // Rows (1, -2), (0.5, 0.5), (3, 0): distances √6.5, √8, √6.5.
        let (a, b) = (6.5.squareRoot(), 8.0.squareRoot())
        let sum = 2 * (2 * a + b) / 3
        #expect(expectClose(try channels(importance(.fpgm)), [(a + b) / sum, 2 * a / sum, (a + b) / sum]))
    }

    /// Rows longer than one run of lanes, against plain loops.
    @Test func distancesAreThoseOfPlainLoops() {
        var random = SeededGenerator(seed: 41)
        let rows = (0..<5).map { _ in (0..<21).map { _ in random.uniform() } }
        let expected = rows.map { a in
            rows.reduce(0) { $0 + zip(a, $1).reduce(0.0) { $0 + Double(($1.0 - $1.1) * ($1.0 - $1.1)) }.squareRoot() }
        }
        #expect(expectClose(Importance.distances(rows), expected))
    }

    @Test func gradientNorm() throws {
        let statistics = NamedTensors([("w1", Tensor([2, 0, 4] as [Float], shape: [3]))])
        #expect(try channels(importance(.gradientNorm, statistics)) == [1, 0, 2])
    }

    @Test func batchNormalizationScale() throws {
        let graph = Graph(
            name: "bn",
            nodes: [
                Node(name: "c", operatorType: "Conv", inputs: ["x", "k"], outputs: ["h"]),
                Node(
                    name: "n", operatorType: "BatchNormalization", inputs: ["h", "gamma", "beta", "m", "v"],
                    outputs: ["y"]),
            ],
            inputs: [
                ValueInfo(
                    name: "x", elementType: .float32, dimensions: [.symbolic("n"), .fixed(1), .fixed(1), .fixed(1)])
            ],
            outputs: [ValueInfo(name: "y", elementType: .float32, dimensions: nil)],
            initializers: NamedTensors([
                ("k", Tensor([9, 9, 1] as [Float], shape: [3, 1, 1, 1])),
                ("gamma", Tensor([0.5, -2, 0.5] as [Float], shape: [3])),
                ("beta", Tensor([7, 7, 7] as [Float], shape: [3])),
                ("m", Tensor(zeros: [3])), ("v", Tensor([1, 1, 1] as [Float], shape: [3])),
            ]))
        let members = ["k", "gamma", "beta", "m", "v"].map { member($0, 0, .producer, 3) }
        let group = ChannelGroup(
            name: "k", kind: .channels, channels: 3, members: members, signature: "", isNormalizedOver: false)
        let scale = Importance(graph: graph, criterion: .bnScale)
        #expect(try scale.ofChannels([group])["k"] == [0.5, 2, 0.5])
        // Magnitudes count the kernel and the scale; shift and statistics tell nothing.
        let l1 = try Importance(graph: graph, criterion: .l1).ofChannels([group])["k"]
        #expect(expectClose(l1, [(27.0 / 19 + 0.5) / 2, (27.0 / 19 + 2) / 2, (3.0 / 19 + 0.5) / 2]))
        #expect {
            try importance(.bnScale).ofChannels([HandModel.group])
        } throws: { "\($0)".contains("'w1'") && "\($0)".contains("BatchNormalization") }
    }

    @Test func criteriaWithoutMeaningAreRefusedWithTheValidOnes() throws {
        for criterion in [PruningCriterion.bnScale, .fpgm, .gradientNorm] {
            #expect {
                try importance(criterion).ofWeights()
            } throws: { "\($0)".contains("'\(criterion.rawValue)'") && "\($0)".contains("l1, l2, taylor") }
        }
        #expect(throws: CompressionError.self) { try importance(.lamp).ofBlocks([]) }
        #expect(try PruningCriterion.named("fpgm", among: PruningCriterion.forChannels, toRank: "channels") == .fpgm)
        #expect {
            try PruningCriterion.named("tailor", among: PruningCriterion.forWeights, toRank: "weights")
        } throws: { "\($0)".contains("did you mean 'taylor'?") }
        #expect(throws: CompressionError.self) {
            try PruningCriterion.named("fpgm", among: PruningCriterion.forWeights, toRank: "weights")
        }
        #expect(throws: CompressionError.missingStatistic("w1", criterion: "taylor")) {
            try importance(.taylor).ofWeights()
        }
        let short = NamedTensors([("w1", Tensor([1, 2, 3, 4, 5, 6] as [Float], shape: [6]))])
        #expect(throws: CompressionError.missingStatistic("w1", criterion: "movement")) {
            try importance(.movement, short).ofWeights()
        }
        let infinite = HandModel.statistics([.infinity, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0])
        #expect(throws: CompressionError.scoresNotFinite(tensor: "w1")) {
            try importance(.taylor, infinite).ofWeights()
        }
    }

    @Test func groupsOfOtherGraphsAreRefused() throws {
        let far = ChannelGroup(
            name: "w1", kind: .channels, channels: 1,
            members: [ChannelMember(parameter: "w1", axis: 0, side: .producer, places: [[3]])], signature: "",
            isNormalizedOver: false)
        let bare = ChannelGroup(
            name: "b1", kind: .channels, channels: 3, members: [member("b1", 0, .producer, 3)], signature: "",
            isNormalizedOver: false)
        for group in [far, bare] {
            #expect(throws: CompressionError.self) { try importance(.l1).ofChannels([group]) }
        }
    }

    @Test func deadWeightsHaveNoImportance() throws {
        var alive = Bitmap(repeating: true, count: 6)
        alive[1] = false
        let masks = MaskSet(bitmaps: ["w1": alive])
        let movement = Importance(
            graph: HandModel.graph, criterion: .movement,
            statistics: HandModel.statistics([0.5, 0, 0, 0, 2, 0], [1, 1, 1, 1, 1, 1]), masks: masks)
        #expect(try movement.ofWeights()["w1"]?.floats == [0.5, 0, 0, 0, 2, 0])
        let l1 = Importance(graph: HandModel.graph, criterion: .l1, masks: masks)
        #expect(try l1.ofWeights()["w1"]?.floats == [1, 0, 0.5, 0.5, 3, 0])
    }

    /// Two blocks of one signature and one of another: means 6.5/6 and 8/6 of |w| over their mean; alone 1.
    @Test func blocksAreComparedWithinTheirSignature() throws {
        let found = try importance(.l1).ofBlocks([
            (name: "a", parameters: ["w1", "b1"], signature: "s"), (name: "b", parameters: ["w2"], signature: "s"),
            (name: "c", parameters: ["w2"], signature: "t"),
        ])
        #expect(expectClose([found["a"]!, found["b"]!, found["c"]!], [7 / 7.5, 8 / 7.5, 1]))
    }

    /// Channels that take several places of an axis, and members in the middle of a shape, against plain loops.
    @Test func slicesAreThoseOfPlainLoops() throws {
        var random = SeededGenerator(seed: 40)
        for _ in 0..<30 {
            let shape = try Shape((0..<3).map { _ in 1 + random.index(below: 4) })
            let axis = random.index(below: 3)
            let channels = 1 + random.index(below: shape[axis])
            var places = Array(repeating: [Int](), count: channels)
            for index in 0..<shape[axis] where random.index(below: 4) > 0 {
                places[random.index(below: channels)].append(index)
            }
            let slicing = ChannelMember(parameter: "w", axis: axis, side: .producer, places: places)
            let group = ChannelGroup(
                name: "w", kind: .channels, channels: channels, members: [slicing], signature: "",
                isNormalizedOver: false)
            let values = (0..<shape.elementCount).map { _ in random.uniform() }
            var expected = [Double](repeating: 0, count: channels)
            for i in 0..<shape[0] {
                for j in 0..<shape[1] {
                    for k in 0..<shape[2] {
                        guard let channel = places.firstIndex(where: { $0.contains([i, j, k][axis]) }) else { continue }
                        expected[channel] += Double(values[(i * shape[1] + j) * shape[2] + k])
                    }
                }
            }
            var found = [Double](repeating: 0, count: channels)
            try ChannelSlices(slicing, of: group, shape: shape).add(into: &found) { Double(values[$0]) }
            #expect(expectClose(found, expected, within: 1e-12))
        }
    }
}
