import Tensors

/// The values of options that only some kinds have.
extension DataSpec {
    /// The size that images are brought to: `size=32` or `size=HxW`.
    public struct ImageSize: Sendable, Equatable, CustomStringConvertible {
        public let height: Int
        public let width: Int

        /// The longest side, in pixels.
        static let limit = 4_096

        init(height: Int, width: Int) {
            self.height = height
            self.width = width
        }

        init?(_ text: String) {
            let sides = text.split(separator: "x", omittingEmptySubsequences: false).map { Int($0) ?? 0 }
            guard sides.count <= 2, let height = sides.first, let width = sides.last,
                sides.allSatisfy({ $0 >= 1 && $0 <= Self.limit })
            else { return nil }
            self.init(height: height, width: width)
        }

        public var description: String { height == width ? "\(height)" : "\(height)x\(width)" }
    }

    /// What a language model learns from a window of tokens.
    public enum TokenObjective: String, Sendable, CaseIterable {
        /// Each position's target is the token after it.
        case next
        /// BERT's: some tokens are hidden and are the targets, the others have none (Devlin et al. 2019, section 3.1).
        case masked
    }

    /// What is done to training samples, anew in every epoch; never to samples of the test split, nor where a model is
    /// calibrated, scored or asked for its logits.
    public struct AugmentationOptions: Sendable, Equatable {
        /// Zeros put around an image before a piece of its own size is cut out at random, in pixels.
        public internal(set) var crop: Int?
        /// Whether half of the images are mirrored left to right.
        public internal(set) var flip: Bool?
        /// The side of a square that is set to zero, in pixels (DeVries and Taylor 2017).
        public internal(set) var cutout: Int?
        /// Alpha of the Beta distribution that samples are mixed by (Zhang et al. 2018).
        public internal(set) var mixup: Double?

        static let optionNames = ["crop", "flip", "cutout", "mixup"]
        var isEmpty: Bool { crop == nil && flip != true && cutout == nil && mixup == nil }
        /// Whether anything but mixing is asked for, which needs images.
        var needsImages: Bool { crop != nil || flip == true || cutout != nil }
    }

    static let imageOptionNames = ["size", "channels"]
    static let tokenOptionNames = ["type", "length", "objective", "mask", "vocabulary"]

    /// Options that a kind does not have, in the order of `optionNames`.
    static func foreignOptions(of kind: Kind) -> [String] {
        switch kind {
        case .idx, .npy, .safetensors: imageOptionNames + tokenOptionNames
        case .folder: tokenOptionNames
        case .synthetic: imageOptionNames + tokenOptionNames
        case .tokens: ["scale", "mean", "std"] + imageOptionNames + AugmentationOptions.optionNames
        }
    }

    /// What options need of one another.
    /// - Throws: `DataError.invalidOption`.
    func checkOptions(given: Set<String>, spec: String) throws(DataError) {
        try checkHoldout(given: given, spec: spec)
        if let option = Self.foreignOptions(of: kind).first(where: given.contains) {
            let kinds = Kind.allCases.filter { !Self.foreignOptions(of: $0).contains(option) }
            throw .malformedSpec(
                spec: spec,
                reason: "option '\(option)' is for \(kinds.map { "\($0.rawValue):" }.joined(separator: ", ")) only")
        }
        if let samples, kind != .synthetic {
            throw .invalidOption(
                spec: spec, option: "samples", value: "\(samples)", needed: "synthetic:, else use limit=")
        }
        guard kind == .tokens else { return }
        if objective == .masked, maskToken == nil {
            throw .malformedSpec(
                spec: spec, reason: "objective=masked needs mask=ID, the token that hides others")
        }
        if let maskToken, objective != .masked {
            throw .invalidOption(spec: spec, option: "mask", value: "\(maskToken)", needed: "objective=masked")
        }
        if let maskToken, let vocabulary, maskToken >= vocabulary {
            throw .invalidOption(
                spec: spec, option: "mask", value: "\(maskToken)", needed: "a token below vocabulary=\(vocabulary)")
        }
        if partition != .iid, partition != .contiguous {
            throw .invalidOption(
                spec: spec, option: "partition", value: "\(partition)",
                needed: "iid or contiguous: tokens have no classes")
        }
    }
}
