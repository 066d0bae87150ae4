extension TrainingRecipe {
    /// Without teacher and control, which are the task's.
    var message: Pleach_V1_TrainWork {
        var message = Pleach_V1_TrainWork()
        message.epochs = epochs
        message.batch = UInt32(batch)
        message.accumulate = UInt32(accumulate)
        message.optimizer = UInt32(optimizer.rawValue)
        message.learningRate = learningRate
        message.schedule = UInt32(schedule.kind.rawValue)
        message.warmup = schedule.warmup
        message.stepEvery = schedule.stepEvery
        message.stepFactor = schedule.stepFactor
        message.start = part.lowerBound
        message.end = part.upperBound
        message.momentum = momentum
        message.nesterov = nesterov
        message.weightDecay = weightDecay
        message.decay = UInt32(decay.rawValue)
        message.loss = UInt32(loss?.rawValue ?? 0)
        message.labelSmoothing = labelSmoothing
        message.clipNorm = clipNorm ?? 0
        message.clipValue = clipValue ?? 0
        message.precision = UInt32(precision.rawValue)
        message.proximal = proximal
        message.correction = UInt32(correction.rawValue)
        message.statistics = UInt32(statistics.rawValue)
        if let ensemble { message.ensemble = ensemble.message }
        return message
    }
}

extension TeacherReference {
    var message: Pleach_V1_Teaching {
        var message = Pleach_V1_Teaching()
        message.teachers = members.map(\.message)
        message.temperature = temperature
        message.alpha = alpha
        message.features = features.map(\.message)
        return message
    }
}

extension TeacherReference.Member {
    fileprivate var message: Pleach_V1_Teacher {
        var message = Pleach_V1_Teacher()
        switch source {
        case .snapshot(let reference): message.snapshot = reference.message
        case .model(let blob):
            message.model = blob.digest.data
            message.modelByteCount = UInt64(blob.byteCount)
        case .own: message.own = true
        }
        message.weight = weight
        message.resize = UInt32(resize?.rawValue ?? 0)
        return message
    }
}

extension FeatureTerm {
    fileprivate var message: Pleach_V1_FeatureTerm {
        var message = Pleach_V1_FeatureTerm()
        message.measure = UInt32(measure.rawValue)
        message.weight = weight
        message.student = pairs.map(\.student)
        message.teacher = pairs.map(\.teacher)
        return message
    }
}
