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
        return message
    }
}
