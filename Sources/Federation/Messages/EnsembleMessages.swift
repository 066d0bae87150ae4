// What ensembles say over the wire, both ways; every number from the network is checked before it is used.

extension PublicSetName {
    init?(optional body: Pleach_V1_Hello) throws(MessageError) {
        guard !body.publicSet.isEmpty || body.publicSamples > 0 else { return nil }
        let samples = try count(body.publicSamples, "hello.public_samples")
        guard samples > 0 else { throw MessageError("hello.public_samples is out of range") }
        self.init(digest: try Federation.digest(body.publicSet, "hello.public_set"), samples: samples)
    }
}

extension EnsembleLesson {
    var message: Pleach_V1_Ensemble {
        var message = Pleach_V1_Ensemble()
        message.temperature = rules.temperature
        message.alpha = rules.alpha
        message.epochs = rules.epochs
        message.mutual = rules.isMutual
        if let consensus {
            message.consensus = consensus.digest.data
            message.consensusByteCount = UInt64(consensus.byteCount)
        }
        message.share = share
        return message
    }

    init(_ body: Pleach_V1_Ensemble) throws(MessageError) {
        let share = try finite(body.share, 0...1, "ensemble.share")
        guard share < 1 else { throw MessageError("ensemble.share is out of range") }
        self.init(
            EnsemblePlan(
                temperature: try finite(body.temperature, MessageLimits.temperature, "ensemble.temperature"),
                alpha: try finite(body.alpha, 0...1, "ensemble.alpha"),
                epochs: try finite(body.epochs, 0...10_000, "ensemble.epochs"), isMutual: body.mutual),
            consensus: body.consensus.isEmpty
                ? nil : try blob(body.consensus, body.consensusByteCount, "ensemble.consensus"),
            share: share)
    }
}

extension LogitsRequest {
    var message: Pleach_V1_LogitsWork {
        var message = Pleach_V1_LogitsWork()
        message.samples = UInt64(samples)
        message.classes = UInt64(classes)
        message.trainedRound = UInt64(trainedRound)
        return message
    }

    init(_ body: Pleach_V1_LogitsWork) throws(MessageError) {
        let samples = try count(body.samples, "logits.samples")
        let classes = try count(body.classes, "logits.classes")
        let (logits, overflow) = samples.multipliedReportingOverflow(by: classes)
        guard !overflow, (1...Self.largestCount).contains(logits) else {
            throw MessageError("logits asks for too many or for none")
        }
        self.init(
            samples: samples, classes: classes, trainedRound: try count(body.trainedRound, "logits.trained_round"))
    }
}
