import Tensors

/// Importance of each weight, at least 0: what is ranked to decide a mask.
public enum Criterion {
    /// |w| (Han et al. 2015).
    public static func magnitude(_ weights: NamedTensors) -> NamedTensors { absolute(weights) }

    /// |E[w·g]|, the first-order Taylor estimate of what removing a weight costs (Molchanov et al. 2017, eq. 8), from the
    /// fleet's mean of w·g.
    public static func taylor(_ meanWeightTimesGradient: NamedTensors) -> NamedTensors {
        absolute(meanWeightTimesGradient)
    }

    private static func absolute(_ tensors: NamedTensors) -> NamedTensors {
        NamedTensors(tensors.ordered.map { ($0.name, Tensor($0.tensor.floats.map(abs), shape: $0.tensor.shape)) })
    }
}

/// Decides unstructured masks by one global rank over all prunable weights.
public enum MaskRanking {
    /// The mask that keeps the highest scores.
    ///
    /// Exactly round(sparsity·N) of the N weights are masked, except that each tensor keeps at least its best weight
    /// (a layer without weights would cut the network) and that dead weights stay dead: a sparsity below the one already
    /// reached keeps the previous mask. Ties go to the earlier tensor, then the lower index. Epoch: previous + 1.
    /// - Parameter scores: float32, at least 0, one tensor per prunable weight.
    /// - Complexity: O(n log n).
    public static func globalMask(
        scores: NamedTensors, sparsity: Double, previous: MaskSet
    ) throws(CompressionError) -> MaskSet {
        guard sparsity >= 0, sparsity < 1 else { throw .sparsityOutOfRange(sparsity) }
        var next = MaskSet(epoch: previous.epoch &+ 1, bitmaps: previous.bitmaps)
        let wanted = Int((sparsity * Double(scores.elementCount)).rounded())
        // Alive candidates as (score bits, position): bits of non-negative floats order like the floats.
        var candidates: [(key: UInt32, position: Int)] = []
        var base = 0
        var dead = 0
        for (name, tensor) in scores.ordered {
            let bitmap = previous[name] ?? Bitmap(repeating: true, count: tensor.elementCount)
            next.bitmaps[name] = bitmap
            var best: (score: Float, index: Int)?
            let values = tensor.floats
            for (index, score) in values.enumerated() {
                guard score.isFinite, score >= 0 else { throw .scoresNotFinite(tensor: name) }
                guard bitmap[index] else {
                    dead += 1
                    continue
                }
                if best.map({ score > $0.score }) ?? true { best = (score, index) }
            }
            for (index, score) in values.enumerated() where bitmap[index] && index != best?.index {
                candidates.append(((score + 0).bitPattern, base + index))
            }
            base += values.count
        }
        let removed = max(0, min(wanted - dead, candidates.count))
        // Among equal scores the later position goes first, so that the earlier one is kept.
        candidates.sort { $0.key != $1.key ? $0.key < $1.key : $0.position > $1.position }
        clear(candidates.prefix(removed).map(\.position), in: &next, scores: scores)
        return next
    }

    private static func clear(_ positions: [Int], in masks: inout MaskSet, scores: NamedTensors) {
        var sorted = positions.sorted()[...]
        var base = 0
        for (name, tensor) in scores.ordered {
            let end = base + tensor.elementCount
            var bitmap = masks.bitmaps.removeValue(forKey: name) ?? Bitmap(repeating: true, count: tensor.elementCount)
            while let position = sorted.first, position < end {
                bitmap[position - base] = false
                sorted.removeFirst()
            }
            masks.bitmaps[name] = bitmap
            base = end
        }
    }
}
