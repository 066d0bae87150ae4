import Tensors
import Testing

@testable import Compression

private func scores(_ pairs: [(String, [Float])]) throws -> NamedTensors {
    NamedTensors(try pairs.map { ($0.0, Tensor($0.1, shape: try Shape([$0.1.count]))) })
}

@Test func theSmallestScoresOfAllTensorsGo() throws {
    let masks = try MaskRanking.decide(
        scores: scores([("a", [5, 1, 9, 2]), ("b", [3, 8, 4, 7])]), sparsity: 0.5, previous: MaskSet(epoch: 4))
    #expect(bits(masks, "a") == [true, false, true, false])
    #expect(bits(masks, "b") == [false, true, false, true])
    #expect(masks.epoch == 5)
}

@Test func tiesKeepTheEarlierWeight() throws {
    let masks = try MaskRanking.decide(
        scores: scores([("a", [1, 1, 1]), ("b", [1, 1, 1])]), sparsity: 0.5, previous: MaskSet())
    // "b" keeps one weight in any case.
    #expect(bits(masks, "a") == [true, true, false])
    #expect(bits(masks, "b") == [true, false, false])
}

@Test func everyTensorKeepsItsBestWeight() throws {
    let masks = try MaskRanking.decide(
        scores: scores([("a", [0.1, 0.3, 0.2]), ("b", [10, 11, 12])]), sparsity: 0.5, previous: MaskSet())
    #expect(bits(masks, "a") == [false, true, false])
    #expect(bits(masks, "b") == [false, true, true])
}

@Test func deadWeightsStayDeadAndCount() throws {
    let first = try MaskRanking.decide(scores: scores([("a", [1, 2, 3, 4])]), sparsity: 0.5, previous: MaskSet())
    let second = try MaskRanking.decide(scores: scores([("a", [9, 9, 1, 2])]), sparsity: 0.75, previous: first)
    #expect(bits(second, "a") == [false, false, false, true])
    let less = try MaskRanking.decide(scores: scores([("a", [9, 9, 1, 2])]), sparsity: 0.1, previous: second)
    #expect(bits(less, "a") == bits(second, "a"))
}

@Test func exactlyTheShareIsMaskedWhateverTheScores() throws {
    var random = SeededGenerator(seed: 5)
    for _ in 0..<20 {
        let values = (0..<1000).map { _ in Float(random.index(below: 50)) }
        let sparsity = Double(random.uniform()) * 0.99
        let masks = try MaskRanking.decide(scores: scores([("a", values)]), sparsity: sparsity, previous: MaskSet())
        #expect(masks["a"]?.populationCount == 1000 - Int((sparsity * 1000).rounded()))
        // No masked weight outranks a kept one.
        let kept = values.indices.filter { masks["a"]![$0] }.map { values[$0] }.min() ?? 0
        let gone = values.indices.filter { !masks["a"]![$0] }.map { values[$0] }.max() ?? 0
        #expect(gone <= kept)
    }
}

@Test func impossibleRequestsAreRefused() throws {
    let fine = try scores([("a", [1, 2])])
    #expect(throws: CompressionError.sparsityOutOfRange(1)) {
        try MaskRanking.decide(scores: fine, sparsity: 1, previous: MaskSet())
    }
    let bad = try scores([("layer", [1, .nan])])
    #expect(throws: CompressionError.scoresNotFinite(tensor: "layer")) {
        try MaskRanking.decide(scores: bad, sparsity: 0.5, previous: MaskSet())
    }
}

/// Against the plain definition by sorting, with ties, zeros, dead weights and several tensors.
@Test func theRankIsThatOfASort() throws {
    var random = SeededGenerator(seed: 6)
    for _ in 0..<60 {
        // Equal upper halves, equal keys and tiny differences all occur.
        let pairs = (0..<3).map { tensor in
            let values = (0..<80).map { _ -> Float in
                let kind = random.index(below: 4)
                let coarse = Float(random.index(below: 6))
                return kind == 0 ? 0 : kind == 1 ? coarse : kind == 2 ? 1 + coarse * .ulpOfOne : random.uniform()
            }
            return ("t\(tensor)", values)
        }
        var previous = MaskSet(epoch: 7)
        var dead = Bitmap(repeating: true, count: 80)
        for _ in 0..<20 { dead[random.index(below: 80)] = false }
        previous.bitmaps["t1"] = dead
        let sparsity = Double(random.uniform())
        let masks = try MaskRanking.decide(scores: scores(pairs), sparsity: sparsity, previous: previous)
        // The plain definition: sort the candidates, later ones of equal score first.
        var expected = pairs.map { name, _ in
            previous[name] == nil ? [Bool](repeating: true, count: 80) : bits(previous, name)
        }
        var candidates: [(score: Float, tensor: Int, index: Int)] = []
        for (tensor, pair) in pairs.enumerated() {
            let living = (0..<80).filter { expected[tensor][$0] }
            let best = living.max { (pair.1[$0], -$0) < (pair.1[$1], -$1) }
            candidates += living.filter { $0 != best }.map { (pair.1[$0], tensor, $0) }
        }
        candidates.sort { ($0.score, -$0.tensor, -$0.index) < ($1.score, -$1.tensor, -$1.index) }
        let alreadyDead = expected.joined().filter { !$0 }.count
        let removed = max(0, min(Int((sparsity * 240).rounded()) - alreadyDead, candidates.count))
        for candidate in candidates[..<removed] { expected[candidate.tensor][candidate.index] = false }
        for (tensor, pair) in pairs.enumerated() { #expect(bits(masks, pair.0) == expected[tensor]) }
    }
}

@Test func aMaskOfAnotherSizeIsRefused() throws {
    let previous = MaskSet(bitmaps: ["a": Bitmap(repeating: true, count: 5)])
    #expect(throws: CompressionError.scoresMisfit(tensor: "a", scores: 4, mask: 5)) {
        try MaskRanking.decide(scores: scores([("a", [1, 2, 3, 4])]), sparsity: 0.5, previous: previous)
    }
}

@Test func whatIsWhollyDeadStaysSo() throws {
    let previous = MaskSet(bitmaps: ["a": Bitmap(repeating: false, count: 2)])
    let masks = try MaskRanking.decide(
        scores: scores([("a", [1, 2]), ("b", [1, 2])]), sparsity: 0.75, previous: previous)
    #expect(bits(masks, "a") == [false, false] && bits(masks, "b") == [false, true])
}

/// By hand: |w| and |E[w·g]|.
@Test func criteriaAreMagnitudes() throws {
    let values = try scores([("a", [-2, 0.5, 0])])
    let magnitude = try Importance(weights: values, criterion: .l1).ofWeights()
    #expect(magnitude["a"]?.floats == [2, 0.5, 0])
    let taylor = try Importance(weights: values, criterion: .taylor, statistics: values).ofWeights()
    #expect(taylor["a"]?.floats == [2, 0.5, 0])
}
