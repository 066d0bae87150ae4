import Tensors

/// The elements of one tensor that a ranking chooses from.
struct MaskCandidates {
    let name: String
    private let scores: Tensor
    private let isCandidate: Bitmap
    let count: Int

    /// - Parameter sparesBest: whether the highest score, the first of several, is no candidate.
    /// - Throws: `CompressionError.scoresMisfit`, `.scoresNotFinite`.
    init(name: String, scores: Tensor, among bitmap: Bitmap, sparesBest: Bool) throws(CompressionError) {
        guard bitmap.count == scores.elementCount, scores.elementType == .float32 else {
            throw .scoresMisfit(tensor: name, scores: scores.elementCount, mask: bitmap.count)
        }
        let (best, isUsable) = scores.withElements(as: Float.self) { scores in
            var best: (score: Float, index: Int)?
            for (index, score) in scores.enumerated() {
                guard score >= 0, score.isFinite else { return (best, false) }
                if bitmap[index], best.map({ score > $0.score }) ?? true { best = (score, index) }
            }
            return (best, true)
        }
        guard isUsable else { throw .scoresNotFinite(tensor: name) }
        var bitmap = bitmap
        if sparesBest, let best { bitmap[best.index] = false }
        self.name = name
        self.scores = scores
        isCandidate = bitmap
        count = bitmap.populationCount
    }

    /// Index and key of each candidate; bits of non-negative floats order like the floats (-0 counts as 0).
    func visit(_ body: (Int, UInt32) -> Void) {
        scores.withElements(as: Float.self) { scores in
            for (index, score) in scores.enumerated() where isCandidate[index] { body(index, (score + 0).bitPattern) }
        }
    }

    /// Hands out the `count` lowest of all candidates; of equal ones the later.
    /// Precondition: 0 <= count <= all.
    /// - Complexity: O(n): the threshold comes from two counting passes, nothing is sorted.
    static func visitLowest(_ count: Int, of tensors: [MaskCandidates], _ body: (_ tensor: Int, _ index: Int) -> Void) {
        guard count > 0 else { return }
        let threshold = Threshold(lowest: count, of: tensors)
        // Among equal scores the later ones are handed out, so the first ones are passed over.
        var spared = threshold.spared
        for (number, tensor) in tensors.enumerated() {
            tensor.visit { index, key in
                guard key <= threshold.key else { return }
                if key == threshold.key, spared > 0 { spared -= 1 } else { body(number, index) }
            }
        }
    }
}

/// The highest key among the lowest candidates, found by counting the keys' upper 16 bits, then the lower ones.
private struct Threshold {
    let key: UInt32
    /// How many candidates of exactly this key do not belong to the lowest.
    let spared: Int

    /// Precondition: 1 <= count <= number of candidates.
    init(lowest count: Int, of candidates: [MaskCandidates]) {
        var upper = [Int](repeating: 0, count: 1 << 16)
        for tensor in candidates { tensor.visit { _, key in upper[Int(key >> 16)] += 1 } }
        let (high, before) = Self.bucket(of: count, in: upper)
        var lower = [Int](repeating: 0, count: 1 << 16)
        for tensor in candidates {
            tensor.visit { _, key in if Int(key >> 16) == high { lower[Int(key & 0xffff)] += 1 } }
        }
        let (low, smaller) = Self.bucket(of: count - before, in: lower)
        key = UInt32(high) << 16 | UInt32(low)
        spared = lower[low] - (count - before - smaller)
    }

    /// The bucket that holds the `rank`-th smallest (from 1), and how many lie in the buckets before it.
    private static func bucket(of rank: Int, in counts: [Int]) -> (bucket: Int, before: Int) {
        var before = 0
        for (bucket, count) in counts.enumerated() {
            if before + count >= rank { return (bucket, before) }
            before += count
        }
        preconditionFailure("rank \(rank) of \(before)")
    }
}
