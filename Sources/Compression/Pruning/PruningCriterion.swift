import Tensors

// Which weights, channels and blocks a model can do without. A criterion turns weights and folded statistics into
// importance (Importance), statistics come from workers (Scorer), and ranking decides what stays: MaskRanking for
// weights, ChannelSelection for channels. Everything but Scorer is plain arithmetic in a fixed order: the same input gives
// the same bytes on every machine. Removing channels from a graph is ModelGraph's part.

/// How importance is measured.
public enum PruningCriterion: String, Sendable, Equatable, CaseIterable {
    /// |w| (Han et al. 2015, section 3; for filters Li et al. 2017, section 3.1).
    case l1
    /// w², the same order as l1 for single weights.
    case l2
    /// |E[w·g]|, the first-order estimate of what removal costs (Molchanov et al. 2017, eq. 7; 2019, eq. 9).
    case taylor
    /// E[(∂L/∂m)²] over batches, m = 1 multiplying a channel (the gate of Molchanov et al. 2019, section 3.1, and of Michel
    /// et al. 2019, eq. 2, for heads).
    case gradientNorm
    /// sqrt(E[g]² + Var[g]) over steps and workers: unimportant is what has a small gradient that also stays small.
    case stability
    /// w²·E[g²], the saliency of Optimal Brain Damage (LeCun et al. 1990, eq. 5) with the empirical Fisher information for
    /// the second derivative (Theis et al. 2018, eq. 6), both without the factor 1/2.
    case fisher
    /// |γ| of BatchNormalization (Liu et al. 2017, "network slimming", section 3).
    case bnScale
    /// Σ_j ‖w_i − w_j‖₂ over a layer's filters: those near the geometric median are replaceable (He et al. 2019, eq. 7).
    case fpgm
    /// w_i² / Σ w_j² over the weights of the layer that are no smaller (Lee et al. 2021, eq. 3).
    case lamp
    /// −Σ lr·w·g over training steps: what moves away from zero stays (Sanh et al. 2020, eq. 4).
    case movement

    /// What workers must send for it; nil where the weights suffice.
    public var statistic: ScoreStatistic? {
        switch self {
        case .l1, .l2, .bnScale, .fpgm, .lamp: nil
        case .taylor: .weightGradient
        case .gradientNorm: .channelGradients
        case .stability: .gradientMoments
        case .fisher: .gradientSquares
        case .movement: .movement
        }
    }

    /// Those that rank single weights, in blocks and in N:M patterns too.
    public static let forWeights: [PruningCriterion] = [.l1, .l2, .taylor, .stability, .fisher, .lamp, .movement]
    /// Those that rank channels; of a model's groups, `bnScale` only those before a BatchNormalization.
    public static let forChannels = allCases
    /// Those that rank attention heads: no normalisation scales a head, and a head is no filter among filters.
    public static let forHeads = allCases.filter { $0 != .bnScale && $0 != .fpgm }
    /// Those that rank whole residual blocks.
    public static let forBlocks: [PruningCriterion] = [.l1, .l2, .taylor, .stability, .fisher, .movement]

    /// The criterion that a plan or command line names.
    /// - Parameter valid: those that fit what is to be ranked, such as `forChannels`.
    /// - Throws: `CompressionError.unknownMethod` with the nearest name, `.criterionUnfit`.
    public static func named(
        _ name: String, among valid: [PruningCriterion], toRank what: String
    ) throws(CompressionError) -> PruningCriterion {
        guard let criterion = PruningCriterion(rawValue: name) else {
            let names = valid.map(\.rawValue)
            throw .unknownMethod(
                "criterion '\(name)' is unknown"
                    + NearestName.hint(for: name, in: names)
                    + "; available: \(names.joined(separator: ", "))")
        }
        try criterion.check(fits: valid, what)
        return criterion
    }

    /// - Throws: `CompressionError.criterionUnfit` with what there is, unless the criterion is one of `valid`.
    func check(fits valid: [PruningCriterion], _ what: String) throws(CompressionError) {
        guard valid.contains(self) else {
            throw .criterionUnfit(criterion: rawValue, what: what, valid: valid.map(\.rawValue))
        }
    }
}

/// What a worker measures of the loss for a criterion. All are means over a worker's batches, weighted by their counted
/// targets (but for `movement`, a sum over steps), with the gradient g of a batch's mean loss.
public enum ScoreStatistic: String, Sendable, Equatable, CaseIterable {
    /// E[w·g] of each parameter.
    case weightGradient
    /// E[g] and E[g²] of each parameter: tensors NAME and "square:NAME".
    case gradientMoments
    /// E[g²] of each parameter: tensor "square:NAME".
    case gradientSquares
    /// E[(∂L/∂m)²] of each channel of each group: tensors of the groups' names, shape [channels].
    case channelGradients
    /// S after local steps of plain gradient descent: S ← S − lr·w·g. The trained weights are thrown away.
    case movement

    /// Squares of weights' gradients travel as min(1024·x, 256): the fleet's fold is in steps of 2^-30 and takes numbers up
    /// to 256, and these are small. `Importance` undoes the factor.
    public static let squareScale: Float = 1024
    /// Squares of gates' gradients, each the sum over a filter, are larger: they travel as min(16·x, 256).
    public static let gateScale: Float = 16
    /// The largest magnitude that travels.
    public static let bound: Float = 256

    /// The name of the tensor with a parameter's squares.
    public static func squareName(_ parameter: String) -> String { "square:" + parameter }
}
