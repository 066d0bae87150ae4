/// What a step minimizes: a mean over the batch's counted targets, with PyTorch's definition of each (F is
/// `torch.nn.functional`, `z` the model's first output, `y` the batch's targets).
public struct Loss: Sendable, Equatable {
    /// How the output is compared with the batch's targets.
    public enum Measure: Sendable, Equatable {
        /// `F.cross_entropy(z, y, label_smoothing:, ignore_index:)`: z `[n, classes]` or `[n, classes, d1, ...]`; y int64
        /// `[n]` or `[n, d1, ...]`, or float32 probabilities of z's shape (mixed samples). Targets equal to
        /// `ignoreIndex` are not counted; nil counts all.
        case crossEntropy(labelSmoothing: Double, ignoreIndex: Int64?)
        /// `F.cross_entropy(z.flatten(0, -2), y.flatten(), ignore_index:)`: z `[n, length, vocabulary]`, y int64
        /// `[n, length]`, where y holds the token *after* each position already.
        case nextToken(ignoreIndex: Int64)
        /// The same arithmetic; y holds the hidden tokens, and `ignoreIndex` wherever nothing was hidden (Devlin et al.
        /// 2019, section 3.1).
        case maskedToken(ignoreIndex: Int64)
        /// `T * T * F.kl_div(F.log_softmax(z / T, 1), F.log_softmax(y / T, 1), log_target=True,
        /// reduction="batchmean")`: y float32 *logits* of z's shape. Beyond `[n, classes]` the mean is over positions too.
        case klDivergence(temperature: Double)
        /// `F.mse_loss(z, y)`: y float32 of z's shape.
        case meanSquaredError
        /// `F.binary_cross_entropy_with_logits(z, y)`: y float32 in 0...1, of z's shape.
        case binaryCrossEntropyWithLogits
        /// `F.cosine_embedding_loss(z.flatten(1), y.flatten(1), torch.ones(n))`: the mean of 1 − cos; y float32 of z's
        /// shape.
        case cosine
    }

    /// A teacher's part in the loss.
    public struct Distillation: Sendable, Equatable {
        /// T, positive.
        public var temperature: Double
        /// α in 0...1, the teacher's weight.
        public var alpha: Double
    }

    public var measure: Measure
    /// With a teacher, the loss is α·T²·KL(softmax(teacher/T) ‖ softmax(z/T)) + (1−α)·`measure` (Hinton et al. 2015,
    /// section 2), the divergence being a mean over the targets that `measure` counts.
    public var distillation: Distillation?

    public init(_ measure: Measure, distillation: Distillation? = nil) {
        self.measure = measure
        self.distillation = distillation
    }

    /// The label of targets that are not counted, as in PyTorch and Hugging Face.
    public static let defaultIgnoreIndex: Int64 = -100

    public static let crossEntropy = Loss.crossEntropy()
    public static let meanSquaredError = Loss(.meanSquaredError)
    public static let binaryCrossEntropyWithLogits = Loss(.binaryCrossEntropyWithLogits)
    public static let cosine = Loss(.cosine)

    /// - Parameter labelSmoothing: in 0..<1.
    public static func crossEntropy(
        labelSmoothing: Double = 0, ignoreIndex: Int64? = Loss.defaultIgnoreIndex
    ) -> Loss {
        Loss(.crossEntropy(labelSmoothing: labelSmoothing, ignoreIndex: ignoreIndex))
    }

    public static func nextToken(ignoreIndex: Int64 = Loss.defaultIgnoreIndex) -> Loss {
        Loss(.nextToken(ignoreIndex: ignoreIndex))
    }

    public static func maskedToken(ignoreIndex: Int64 = Loss.defaultIgnoreIndex) -> Loss {
        Loss(.maskedToken(ignoreIndex: ignoreIndex))
    }

    public static func klDivergence(temperature: Double = 1) -> Loss { Loss(.klDivergence(temperature: temperature)) }

    /// A teacher's soft labels beside a hard loss, which must be a cross-entropy or a token loss.
    public static func distillation(temperature: Double, alpha: Double, hard: Loss = .crossEntropy) -> Loss {
        Loss(hard.measure, distillation: Distillation(temperature: temperature, alpha: alpha))
    }

    /// The loss without its teacher: what an evaluation measures.
    public var hard: Loss { Loss(measure) }

    /// Where the classes lie in the output: axis 1, or the last for tokens. nil for losses without classes.
    var classAxis: Int? {
        switch measure {
        case .crossEntropy, .klDivergence: 1
        case .nextToken, .maskedToken: -1
        case .meanSquaredError, .binaryCrossEntropyWithLogits, .cosine: nil
        }
    }

    /// The integer target that is not counted.
    var ignoreIndex: Int64? {
        switch measure {
        case .crossEntropy(_, let index): index
        case .nextToken(let index), .maskedToken(let index): index
        case .klDivergence, .meanSquaredError, .binaryCrossEntropyWithLogits, .cosine: nil
        }
    }

    /// - Throws: `EngineError.badSetting` for a temperature, weight or smoothing outside its range, or a teacher beside a
    ///   loss without integer targets.
    public func validate() throws(EngineError) {
        switch measure {
        case .crossEntropy(let smoothing, _) where !(0..<1).contains(smoothing):
            throw .badSetting("label smoothing is \(smoothing): give 0 or more, below 1")
        case .klDivergence(let temperature): try Self.check(temperature: temperature)
        default: break
        }
        guard let distillation else { return }
        try Self.check(temperature: distillation.temperature)
        guard (0...1).contains(distillation.alpha) else {
            throw .badSetting("the teacher's weight alpha is \(distillation.alpha): give 0 to 1")
        }
        switch measure {
        case .crossEntropy, .nextToken, .maskedToken: break
        default: throw .badSetting("a teacher's logits go with cross-entropy or a token loss only")
        }
    }

    private static func check(temperature: Double) throws(EngineError) {
        guard temperature > 0, temperature.isFinite else {
            throw .badSetting("the temperature is \(temperature): give a positive number")
        }
    }
}
