/// A value inside the student and the value of the teacher that it is to become like, each by its name in its own graph.
public struct FeaturePair: Sendable, Hashable {
    public var student: String
    public var teacher: String

    public init(student: String, teacher: String) {
        self.student = student
        self.teacher = teacher
    }
}

/// A term of a student's loss beside that of the logits: how far a value inside it is from one inside the teacher.
public struct FeatureSignal: Sendable, Equatable {
    /// How the two values s and t are compared. Every measure is a mean over the batch's samples.
    public enum Measure: String, Sendable, Equatable, CaseIterable {
        /// `F.mse_loss(P(s), t)` (Romero et al. 2015, eq. 3; Jiao et al. 2020, eq. 8) of values `[n, channels]`,
        /// `[n, length, channels]` or `[n, channels, height, width]`. P is the identity, or a trained projector without a
        /// bias where the channels differ: a 1x1 convolution over planes, a linear map otherwise. Planes of different
        /// sizes are both brought to the smaller by `F.adaptive_avg_pool2d`.
        case hiddenStates
        /// ‖ Q(s)/‖Q(s)‖ − Q(t)/‖Q(t)‖ ‖², Q(A) = Σ_c |A_c|² flattened (Zagoruyko and Komodakis 2017, section 3.1, p = 2;
        /// the square of the distance in their eq. 2), of values `[n, channels, height, width]` with any channels. Maps of
        /// different sizes are both brought to the smaller by `F.adaptive_avg_pool2d`.
        case attentionMaps
        /// `F.mse_loss(s, t)` of attention matrices of one shape (Jiao et al. 2020, eq. 7, after the softmax).
        case attentionMatrices
        /// KL(t ‖ s) over the last axis of attention matrices of one shape, a mean over all rows:
        /// `F.kl_div(s.clamp_min(1e-8).log(), t, reduction="sum") / rows`.
        case attentionDivergence
    }

    public var measure: Measure
    public var pair: FeaturePair
    /// What the term is multiplied by in the loss; positive.
    public var weight: Double

    public init(_ measure: Measure, _ pair: FeaturePair, weight: Double) {
        self.measure = measure
        self.pair = pair
        self.weight = weight
    }
}

extension FeatureSignal.Measure {
    /// The shapes it compares, for people.
    var shapes: String {
        switch self {
        case .hiddenStates: "[n, channels], [n, length, channels] or [n, channels, height, width]"
        case .attentionMaps: "[n, channels, height, width]"
        case .attentionMatrices, .attentionDivergence: "[n, heads, length, length] or [n, length, length]"
        }
    }

    /// Whether values of so many axes can be compared.
    func takes(rank: Int) -> Bool {
        switch self {
        case .hiddenStates: (2...4).contains(rank)
        case .attentionMaps: rank == 4
        case .attentionMatrices, .attentionDivergence: rank == 3 || rank == 4
        }
    }

    /// Why values of these extents cannot be compared; nil where they can.
    /// - Parameter comparesLengths: false where the extents after the batch that inputs decide are made up.
    func misfit(student: [Int], teacher: [Int], comparesLengths: Bool = true) -> String? {
        guard takes(rank: student.count), takes(rank: teacher.count) else {
            return "\(rawValue) compares values of shape \(shapes)"
        }
        guard student.count == teacher.count else { return "one has \(student.count) axes, the other \(teacher.count)" }
        switch self {
        case .hiddenStates where student.count == 3 && comparesLengths && student[1] != teacher[1]:
            return "their lengths differ"
        case .hiddenStates, .attentionMaps: break
        case .attentionMatrices, .attentionDivergence:
            if student.count == 4, student[1] != teacher[1] { return "their heads differ" }
            if comparesLengths, student.suffix(2) != teacher.suffix(2) { return "their lengths differ" }
        }
        return nil
    }

    /// Where the channels of a value with so many axes lie; nil where they do not have to agree.
    func channelAxis(rank: Int) -> Int? {
        guard self == .hiddenStates else { return nil }
        return rank == 4 ? 1 : rank - 1
    }
}
