import Tensors

/// Decides unstructured masks by one global rank over all prunable weights.
public enum MaskRanking {
    /// The mask that keeps the highest scores.
    ///
    /// Exactly round(sparsity·N) of the N weights are masked, except that each tensor keeps at least its best weight
    /// (a layer without weights would cut the network) and that dead weights stay dead: a sparsity below the one already
    /// reached keeps the previous mask. Ties go to the earlier tensor, then the lower index. Epoch: previous + 1.
    /// - Parameter scores: float32, at least 0, one tensor per prunable weight.
    /// - Complexity: O(n): the threshold comes from two counting passes, nothing is sorted.
    public static func globalMask(
        scores: NamedTensors, sparsity: Double, previous: MaskSet
    ) throws(CompressionError) -> MaskSet {
        guard sparsity >= 0, sparsity < 1 else { throw .sparsityOutOfRange(sparsity) }
        var candidates: [Candidates] = []
        var alive = 0
        for (name, tensor) in scores.ordered {
            let bitmap = previous[name] ?? Bitmap(repeating: true, count: tensor.elementCount)
            let tensorCandidates = try Candidates(name: name, scores: tensor, alive: bitmap)
            alive += bitmap.populationCount
            candidates.append(tensorCandidates)
        }
        let wanted = Int((sparsity * Double(scores.elementCount)).rounded())
        let removable = candidates.reduce(0) { $0 + $1.count }
        let removed = max(0, min(wanted - (scores.elementCount - alive), removable))
        var next = MaskSet(epoch: previous.epoch &+ 1, bitmaps: previous.bitmaps)
        let threshold = removed > 0 ? Threshold(removing: removed, of: candidates) : nil
        // Among equal scores the later ones go, so the first ones are passed over.
        var spared = threshold?.spared ?? 0
        for tensor in candidates {
            var bitmap = tensor.alive
            if let threshold {
                tensor.visit { index, key in
                    guard key <= threshold.key else { return }
                    if key == threshold.key, spared > 0 { spared -= 1 } else { bitmap[index] = false }
                }
            }
            next.bitmaps[tensor.name] = bitmap
        }
        return next
    }
}

/// The weights of one tensor that may be masked: alive ones less the best.
private struct Candidates {
    let name: String
    let scores: Tensor
    let alive: Bitmap
    /// The tensor's highest score, the first of several; nil when nothing is alive.
    private let best: Int?

    init(name: String, scores: Tensor, alive: Bitmap) throws(CompressionError) {
        guard alive.count == scores.elementCount else {
            throw .scoresMisfit(tensor: name, scores: scores.elementCount, mask: alive.count)
        }
        let (best, isUsable) = scores.withElements(as: Float.self) { scores in
            var best: (score: Float, index: Int)?
            for (index, score) in scores.enumerated() {
                guard score >= 0, score.isFinite else { return (best, false) }
                if alive[index], best.map({ score > $0.score }) ?? true { best = (score, index) }
            }
            return (best, true)
        }
        guard isUsable else { throw .scoresNotFinite(tensor: name) }
        self.name = name
        self.scores = scores
        self.alive = alive
        self.best = best?.index
    }

    var count: Int { alive.populationCount - (best == nil ? 0 : 1) }

    /// Index and key of each candidate; bits of non-negative floats order like the floats (-0 counts as 0).
    func visit(_ body: (Int, UInt32) -> Void) {
        scores.withElements(as: Float.self) { scores in
            for (index, score) in scores.enumerated() where alive[index] && index != best {
                body(index, (score + 0).bitPattern)
            }
        }
    }
}

/// The highest key that is masked, found by counting the keys' upper 16 bits, then the lower ones.
private struct Threshold {
    let key: UInt32
    /// How many candidates of exactly this key are kept.
    let spared: Int

    /// Precondition: 1 <= removed <= number of candidates.
    init(removing removed: Int, of candidates: [Candidates]) {
        var upper = [Int](repeating: 0, count: 1 << 16)
        for tensor in candidates { tensor.visit { _, key in upper[Int(key >> 16)] += 1 } }
        let (high, before) = Self.bucket(of: removed, in: upper)
        var lower = [Int](repeating: 0, count: 1 << 16)
        for tensor in candidates {
            tensor.visit { _, key in if Int(key >> 16) == high { lower[Int(key & 0xffff)] += 1 } }
        }
        let (low, smaller) = Self.bucket(of: removed - before, in: lower)
        key = UInt32(high) << 16 | UInt32(low)
        spared = lower[low] - (removed - before - smaller)
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
