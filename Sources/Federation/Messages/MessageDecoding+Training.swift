// Training tasks from the network: every number is checked before it is used.

extension TeacherReference {
    init(_ body: Pleach_V1_Teaching) throws(MessageError) {
        guard (1...MessageLimits.teachers).contains(body.teachers.count) else {
            throw MessageError("teaching.teachers is empty or too long")
        }
        var members: [Member] = []
        for teacher in body.teachers { members.append(try Member(teacher)) }
        var features: [FeatureTerm] = []
        guard body.features.isEmpty || members.count == 1 else {
            throw MessageError("teaching.features need a single teacher")
        }
        for term in body.features {
            let term = try FeatureTerm(term)
            guard !features.contains(where: { $0.measure == term.measure }) else {
                throw MessageError("teaching.features holds a measure twice")
            }
            features.append(term)
        }
        self.init(
            members: members,
            temperature: try finite(body.temperature, MessageLimits.temperature, "teaching.temperature"),
            alpha: try finite(body.alpha, 0...1, "teaching.alpha"), features: features)
    }
}

extension TeacherReference.Member {
    fileprivate init(_ body: Pleach_V1_Teacher) throws(MessageError) {
        let source: TeacherReference.Source
        if body.own {
            source = .own
        } else if body.hasSnapshot {
            source = .snapshot(try SnapshotReference(body.snapshot))
        } else {
            source = .model(try blob(body.model, body.modelByteCount, "teacher.model"))
        }
        let weight = try finite(body.weight, 0...1e9, "teacher.weight")
        guard weight > 0 else { throw MessageError("teacher.weight is out of range") }
        self.init(source, weight: weight, resize: body.resize == 0 ? nil : try known(body.resize, "teacher.resize"))
    }
}

extension FeatureTerm {
    fileprivate init(_ body: Pleach_V1_FeatureTerm) throws(MessageError) {
        guard body.student.count == body.teacher.count, body.student.count <= MessageLimits.featurePairs else {
            throw MessageError("feature.student is too long or unlike feature.teacher")
        }
        var pairs: [Pair] = []
        for (student, teacher) in zip(body.student, body.teacher) {
            guard [student, teacher].allSatisfy({ (1...MessageLimits.valueNameBytes).contains($0.utf8.count) }) else {
                throw MessageError("feature.student or feature.teacher holds no name")
            }
            pairs.append(Pair(student: student, teacher: teacher))
        }
        let weight = try finite(body.weight, 0...1e9, "feature.weight")
        guard weight > 0 else { throw MessageError("feature.weight is out of range") }
        self.init(try known(body.measure, "feature.measure"), weight: weight, pairs: pairs)
    }
}

extension ControlReference {
    init(_ body: Pleach_V1_Control) throws(MessageError) {
        let reach = try finite(body.reach, MessageLimits.reach, "control.reach")
        guard reach > 0 else { throw MessageError("control.reach is out of range") }
        self.init(previous: try SnapshotReference(body.previous), reach: reach)
    }
}

extension ModelWidth {
    init?(optional body: Pleach_V1_TrainWork) throws(MessageError) {
        guard let share = try partOfWhole(body.width, "train.width") else { return nil }
        self.init(share: share, change: try blob(body.change, body.changeByteCount, "train.change"))
    }
}

extension TrainingRecipe {
    init(_ body: Pleach_V1_TrainWork) throws(MessageError) {
        guard (1...1 << 20).contains(body.batch) else { throw MessageError("train.batch is out of range") }
        guard (1...1 << 20).contains(body.accumulate) else { throw MessageError("train.accumulate is out of range") }
        let start = try finite(body.start, 0...1, "train.start")
        let end = try finite(body.end, 0...1, "train.end")
        guard start <= end else { throw MessageError("train.start lies behind train.end") }
        let momentum = try finite(body.momentum, 0...1, "train.momentum")
        let smoothing = try finite(body.labelSmoothing, 0...1, "train.label_smoothing")
        guard momentum < 1, smoothing < 1 else { throw MessageError("train holds a share of 1, which is out of range") }
        self.init(
            epochs: try finite(body.epochs, 0...10_000, "train.epochs"), batch: Int(body.batch),
            accumulate: Int(body.accumulate), optimizer: try known(body.optimizer, "train.optimizer"),
            learningRate: try finite(body.learningRate, 0...1e6, "train.learning_rate"),
            schedule: try RateSchedule(body), part: start...end,
            momentum: momentum, nesterov: body.nesterov,
            weightDecay: try finite(body.weightDecay, 0...1e6, "train.weight_decay"),
            decay: try known(body.decay, "train.decay"),
            loss: body.loss == 0 ? nil : try known(body.loss, "train.loss"),
            labelSmoothing: smoothing,
            clipNorm: try limit(body.clipNorm, "train.clip_norm"),
            clipValue: try limit(body.clipValue, "train.clip_value"),
            precision: try known(body.precision, "train.precision"),
            proximal: try finite(body.proximal, 0...1e6, "train.proximal"),
            correction: try known(body.correction, "train.correction"),
            ensemble: body.hasEnsemble ? try EnsembleLesson(body.ensemble) : nil,
            statistics: try known(body.statistics, "train.statistics"))
    }
}

/// A limit; 0 is none.
private func limit(_ value: Double, _ field: String) throws(MessageError) -> Double? {
    let value = try finite(value, 0...Double.greatestFiniteMagnitude, field)
    return value == 0 ? nil : value
}

extension RateSchedule {
    fileprivate init(_ body: Pleach_V1_TrainWork) throws(MessageError) {
        self.init(
            try known(body.schedule, "train.schedule"), warmup: try finite(body.warmup, 0...1, "train.warmup"),
            stepEvery: try finite(body.stepEvery, 1e-6...1, "train.step_every"),
            stepFactor: try finite(body.stepFactor, Double.leastNonzeroMagnitude...1, "train.step_factor"))
    }
}
