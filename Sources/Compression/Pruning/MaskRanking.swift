import Tensors

/// What competes with what in a ranking.
public enum PruningScope: String, Sendable, Equatable, CaseIterable {
    /// Each tensor or group on its own: all lose the same share.
    case local
    /// All together.
    case global
    /// All of one structure together: kinds of layers lose the same share (Fang et al. 2024, "Isomorphic Pruning").
    case isomorphic
}

/// Which weights die together.
public enum WeightPattern: Sendable, Equatable {
    case weight
    /// Rectangles of the weight seen as a matrix of [outputs, inputs x kernel]; smaller at its ends.
    case block(rows: Int, columns: Int)
    /// Of each `of` consecutive inputs (of one output, at one place of a kernel) the largest `kept` stay; a last
    /// incomplete run keeps the same share, rounded up. 2:4 is what TensorRT runs.
    case nOfM(kept: Int, of: Int)

    private static let longestRun = 1 << 16

    /// - Throws: `CompressionError.valueOutOfRange`.
    public func validate() throws(CompressionError) {
        switch self {
        case .weight: break
        case .block(let rows, let columns):
            guard rows > 0, columns > 0 else {
                throw .valueOutOfRange("blocks are \(rows) x \(columns): both must be at least 1")
            }
        case .nOfM(let kept, let run):
            guard kept > 0, kept < run, run <= Self.longestRun else {
                throw .valueOutOfRange(
                    "pattern \(kept):\(run) keeps \(kept) of \(run): give at least 1 and fewer than all, of \(Self.longestRun) at most"
                )
            }
        }
    }
}

/// Decides which weights stay alive.
public enum MaskRanking {
    /// The mask that keeps the highest scores. Epoch: previous + 1.
    ///
    /// Of the N weights that compete, round(sparsity·N) are masked (with blocks as near as whole blocks come), except that
    /// each tensor keeps at least its best weight or block, since a layer without weights would cut the network, and that
    /// dead weights stay dead: a sparsity below the one already reached keeps the previous mask. Ties go to the earlier
    /// tensor, then the lower index.
    /// - Parameters:
    ///   - scores: float32, at least 0, one tensor per prunable weight.
    ///   - sparsity: at least 0 and below 1. Of no effect with `nOfM`, whose sparsity is the pattern's.
    ///   - layouts: of the scores' tensors (`Graph.weightLayouts`): needed by blocks, N:M and the isomorphic scope. With N:M
    ///     and blocks a tensor without one is refused.
    /// - Throws: `CompressionError.sparsityOutOfRange`, `.valueOutOfRange`, `.scoresMisfit`, `.scoresNotFinite`,
    ///   `.unknownLayout`.
    /// - Complexity: O(n) for single weights and N:M; blocks are sorted.
    public static func decide(
        scores: NamedTensors, sparsity: Double, scope: PruningScope = .global, pattern: WeightPattern = .weight,
        layouts: [String: WeightLayout] = [:], previous: MaskSet
    ) throws(CompressionError) -> MaskSet {
        guard sparsity >= 0, sparsity < 1 else { throw .sparsityOutOfRange(sparsity) }
        try pattern.validate()
        if case .nOfM(let kept, let run) = pattern {
            return try decide(scores: scores, kept: kept, of: run, layouts: layouts, previous: previous)
        }
        var next = MaskSet(epoch: previous.epoch &+ 1, bitmaps: previous.bitmaps)
        for names in try classes(of: scores.names, scope, layouts) {
            if case .block(let rows, let columns) = pattern {
                try decide(
                    scores, names, sparsity, rows: rows, columns: columns, layouts: layouts, masks: &next.bitmaps)
            } else {
                try decide(scores, names, sparsity, masks: &next.bitmaps)
            }
        }
        return next
    }

    /// Masks weights of tensors that compete.
    private static func decide(
        _ scores: NamedTensors, _ names: [String], _ sparsity: Double, masks: inout [String: Bitmap]
    ) throws(CompressionError) {
        var candidates: [MaskCandidates] = []
        var bitmaps: [Bitmap] = []
        var (total, alive) = (0, 0)
        for name in names {
            guard let tensor = scores[name] else { continue }
            let bitmap = masks[name] ?? Bitmap(repeating: true, count: tensor.elementCount)
            candidates.append(try MaskCandidates(name: name, scores: tensor, among: bitmap, sparesBest: true))
            bitmaps.append(bitmap)
            total += tensor.elementCount
            alive += bitmap.populationCount
        }
        let wanted = Int((sparsity * Double(total)).rounded())
        let removable = candidates.reduce(0) { $0 + $1.count }
        let removed = max(0, min(wanted - (total - alive), removable))
        MaskCandidates.visitLowest(removed, of: candidates) { bitmaps[$0][$1] = false }
        for (name, bitmap) in zip(names, bitmaps) { masks[name] = bitmap }
    }

    /// The tensors that compete with each other, in order.
    static func classes(
        of names: [String], _ scope: PruningScope, _ layouts: [String: WeightLayout]
    ) throws(CompressionError) -> [[String]] {
        switch scope {
        case .global: return [names]
        case .local: return names.map { [$0] }
        case .isomorphic:
            var classes: [[String]] = []
            var places: [String: Int] = [:]
            for name in names {
                guard let kind = layouts[name]?.kind else {
                    throw .unknownLayout(tensor: name, need: "scope 'isomorphic'")
                }
                if let place = places[kind] {
                    classes[place].append(name)
                } else {
                    places[kind] = classes.count
                    classes.append([name])
                }
            }
            return classes
        }
    }
}
