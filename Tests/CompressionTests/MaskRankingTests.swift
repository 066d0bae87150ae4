import Tensors
import Testing

@testable import Compression

private func scores(_ pairs: [(String, [Float])]) throws -> NamedTensors {
    NamedTensors(try pairs.map { ($0.0, Tensor($0.1, shape: try Shape([$0.1.count]))) })
}

private func bits(_ masks: MaskSet, _ name: String) -> [Bool] {
    guard let bitmap = masks[name] else { return [] }
    return (0..<bitmap.count).map { bitmap[$0] }
}

@Test func theSmallestScoresOfAllTensorsGo() throws {
    let masks = try MaskRanking.globalMask(
        scores: scores([("a", [5, 1, 9, 2]), ("b", [3, 8, 4, 7])]), sparsity: 0.5, previous: MaskSet(epoch: 4))
    #expect(bits(masks, "a") == [true, false, true, false])
    #expect(bits(masks, "b") == [false, true, false, true])
    #expect(masks.epoch == 5)
}

@Test func tiesKeepTheEarlierWeight() throws {
    let masks = try MaskRanking.globalMask(
        scores: scores([("a", [1, 1, 1]), ("b", [1, 1, 1])]), sparsity: 0.5, previous: MaskSet())
    // "b" keeps one weight in any case.
    #expect(bits(masks, "a") == [true, true, false])
    #expect(bits(masks, "b") == [true, false, false])
}

@Test func everyTensorKeepsItsBestWeight() throws {
    let masks = try MaskRanking.globalMask(
        scores: scores([("a", [0.1, 0.3, 0.2]), ("b", [10, 11, 12])]), sparsity: 0.5, previous: MaskSet())
    #expect(bits(masks, "a") == [false, true, false])
    #expect(bits(masks, "b") == [false, true, true])
}

@Test func deadWeightsStayDeadAndCount() throws {
    let first = try MaskRanking.globalMask(scores: scores([("a", [1, 2, 3, 4])]), sparsity: 0.5, previous: MaskSet())
    let second = try MaskRanking.globalMask(scores: scores([("a", [9, 9, 1, 2])]), sparsity: 0.75, previous: first)
    #expect(bits(second, "a") == [false, false, false, true])
    let less = try MaskRanking.globalMask(scores: scores([("a", [9, 9, 1, 2])]), sparsity: 0.1, previous: second)
    #expect(bits(less, "a") == bits(second, "a"))
}

@Test func exactlyTheShareIsMaskedWhateverTheScores() throws {
    var random = SeededGenerator(seed: 5)
    for _ in 0..<20 {
        let values = (0..<1000).map { _ in Float(random.index(below: 50)) }
        let sparsity = Double(random.uniform()) * 0.99
        let masks = try MaskRanking.globalMask(scores: scores([("a", values)]), sparsity: sparsity, previous: MaskSet())
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
        try MaskRanking.globalMask(scores: fine, sparsity: 1, previous: MaskSet())
    }
    let bad = try scores([("layer", [1, .nan])])
    #expect(throws: CompressionError.scoresNotFinite(tensor: "layer")) {
        try MaskRanking.globalMask(scores: bad, sparsity: 0.5, previous: MaskSet())
    }
}

/// By hand: |w| and |E[w·g]|.
@Test func criteriaAreMagnitudes() throws {
    let values = try scores([("a", [-2, 0.5, 0])])
    #expect(Criterion.magnitude(values)["a"]?.floats == [2, 0.5, 0])
    #expect(Criterion.taylor(values)["a"]?.floats == [2, 0.5, 0])
}
