import Tensors

extension MaskRanking {
    /// Dynamic sparse training (Evci et al. 2020, "RigL", section 3): the alive weights of the lowest scores die, and as many
    /// of those that are dead then (what just died among them) come to life by the largest gradient. The sparsity stays.
    /// Each tensor keeps its best alive weight. What comes to life is 0 until trained. Epoch: previous + 1.
    /// - Parameters:
    ///   - scores: float32, at least 0; |w| in the paper.
    ///   - gradients: E[g] of the same tensors (`ScoreStatistic.gradientMoments`), of any sign.
    ///   - share: of the alive weights that change, 0...1.
    ///   - scope: what competes; `local` is the paper's.
    ///   - layouts: for the isomorphic scope.
    /// - Throws: `CompressionError.valueOutOfRange`, `.scoresMisfit`, `.scoresNotFinite`, `.missingStatistic`,
    ///   `.unknownLayout`.
    public static func regrow(
        scores: NamedTensors, gradients: NamedTensors, share: Double, scope: PruningScope = .local,
        layouts: [String: WeightLayout] = [:], previous: MaskSet
    ) throws(CompressionError) -> MaskSet {
        guard (0...1).contains(share) else {
            throw .valueOutOfRange("the share of weights to regrow is \(share): give 0 to 1")
        }
        var next = MaskSet(epoch: previous.epoch &+ 1, bitmaps: previous.bitmaps)
        for names in try classes(of: scores.names, scope, layouts) {
            var bitmaps: [Bitmap] = []
            var weak: [MaskCandidates] = []
            for name in names {
                guard let tensor = scores[name] else { continue }
                let bitmap = previous[name] ?? Bitmap(repeating: true, count: tensor.elementCount)
                weak.append(try MaskCandidates(name: name, scores: tensor, among: bitmap, sparesBest: true))
                bitmaps.append(bitmap)
            }
            let alive = bitmaps.reduce(0) { $0 + $1.populationCount }
            let changed = min(Int((share * Double(alive)).rounded()), weak.reduce(0) { $0 + $1.count })
            MaskCandidates.visitLowest(changed, of: weak) { bitmaps[$0][$1] = false }
            var dead: [MaskCandidates] = []
            for (name, bitmap) in zip(names, bitmaps) {
                guard let gradient = gradients[name], gradient.elementType == .float32 else {
                    throw .missingStatistic(name, criterion: "regrow")
                }
                let sizes = Tensor(gradient.floats.map(abs), shape: gradient.shape)
                let places = Bitmap(inverting: bitmap)
                dead.append(try MaskCandidates(name: name, scores: sizes, among: places, sparesBest: false))
            }
            // All come to life, less those of the lowest gradients.
            let stayDead = dead.reduce(0) { $0 + $1.count } - changed
            var revived = bitmaps.map { Bitmap(repeating: true, count: $0.count) }
            MaskCandidates.visitLowest(stayDead, of: dead) { revived[$0][$1] = false }
            for (name, bitmap) in zip(names, revived) { next.bitmaps[name] = bitmap }
        }
        return next
    }
}

extension Bitmap {
    /// 1 where the other is 0.
    init(inverting other: Bitmap) {
        self.init(repeating: true, count: other.count)
        for index in 0..<other.count where other[index] { self[index] = false }
    }
}
