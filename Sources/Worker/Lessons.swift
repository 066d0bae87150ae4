import Compression
import Engine
import Federation
import Tensors

/// What a task's batches are compared with.
struct Lessons {
    let loss: Loss
    /// Terms on values inside the student.
    var features: FeatureMatching? { teaching?.features }
    private let teaching: Teaching?
    private let data: Dataset

    init(_ recipe: TrainingRecipe, teaching: Teaching?, data: Dataset) throws {
        guard
            recipe.labelSmoothing == 0 || recipe.loss == .crossEntropy || recipe.loss == nil && data.targets == .classes
        else {
            throw TaskFailure(
                "labelSmoothing needs a cross-entropy over classes; remove it from the plan, or name data with class labels"
            )
        }
        let hard = Loss(recipe.loss, labelSmoothing: recipe.labelSmoothing, data: data)
        loss =
            teaching.map {
                .distillation(temperature: $0.reference.temperature, alpha: $0.reference.alpha, hard: hard)
            } ?? hard
        self.teaching = teaching
        self.data = data
        try loss.validate()
    }

    /// The teacher's word on a batch, and its values inside; nothing without a teacher. Only samples that are the same each
    /// time are remembered, and of them the logits only: values inside are many times as large.
    func teacher(on loaded: LoadedBatch) throws -> (logits: Tensor?, features: NamedTensors) {
        guard let teaching else { return (nil, NamedTensors()) }
        if let features = teaching.features, let network = teaching.teacher.network {
            let (logits, values) = try network.logits(loaded.batch.inputs, features: features.teacherValues)
            return (logits, values)
        }
        guard data.isAugmented || data.inputs.count > 1 || data.targets != .classes else {
            return (try teaching.teacher.cache.logits(for: loaded.indices), NamedTensors())
        }
        return (try teaching.teacher.ensemble.logits(loaded.batch.inputs), NamedTensors())
    }
}

extension Loss {
    /// - Parameter kind: nil lets the data decide.
    init(_ kind: LossKind?, labelSmoothing: Double = 0, data: Dataset) {
        switch kind {
        case nil: self = data.usualLoss(labelSmoothing: labelSmoothing)
        case .crossEntropy: self = .crossEntropy(labelSmoothing: labelSmoothing)
        case .meanSquared: self = .meanSquaredError
        case .binary: self = .binaryCrossEntropyWithLogits
        case .cosine: self = .cosine
        case .nextToken: self = .nextToken()
        case .maskedToken: self = .maskedToken()
        }
    }
}

extension OptimizerSettings {
    init(_ recipe: TrainingRecipe) {
        let kind: OptimizerMethod =
            switch recipe.optimizer {
            case .sgd: .sgd
            case .adamw: .adamw
            case .lamb: .lamb
            }
        self.init(
            kind: kind, learningRate: recipe.learningRate, momentum: recipe.momentum, weightDecay: recipe.weightDecay,
            nesterov: recipe.nesterov, noDecayOnNormsAndBiases: recipe.decay == .weights)
    }
}

extension GradientClipping {
    init?(_ recipe: TrainingRecipe) {
        if let norm = recipe.clipNorm {
            self = .norm(norm)
        } else if let value = recipe.clipValue {
            self = .value(value)
        } else {
            return nil
        }
    }
}

extension Precision {
    init(_ kind: PrecisionKind) {
        self =
            switch kind {
            case .float32: .float32
            case .bfloat16: .bfloat16
            }
    }
}
