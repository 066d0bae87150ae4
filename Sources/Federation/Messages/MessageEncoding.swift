import Foundation
import SwiftProtobuf
import UpdateCodec

extension WorkerMessage {
    /// The protobuf bytes of `pleach.v1.WorkerMessage`.
    public func encoded() -> [UInt8] {
        var message = Pleach_V1_WorkerMessage()
        switch self {
        case .hello(let hello):
            message.hello = hello.message
        case .ready(let held):
            message.ready.held = held.map { $0.data }
        case .heartbeat(let round, let progress):
            message.heartbeat.working = round != nil
            message.heartbeat.round = UInt64(round ?? 0)
            message.heartbeat.progress = progress
        case .submission(let submission):
            message.submission.round = UInt64(submission.round)
            if let blob = submission.blob {
                message.submission.blob = blob.digest.data
                message.submission.byteCount = UInt64(blob.byteCount)
            }
            message.submission.metrics = submission.metrics.message
            message.submission.width = submission.width ?? 0
        case .decline(let round, let reason):
            message.decline.round = UInt64(round)
            message.decline.reason = reason.shortened
        case .goodbye(let reason):
            message.goodbye.reason = reason.shortened
        case .inquiry(let hello):
            message.inquiry = hello.message
        }
        return serialized(message)
    }
}

extension Hello {
    fileprivate var message: Pleach_V1_Hello {
        var message = Pleach_V1_Hello()
        message.minimumVersion = minimumVersion
        message.maximumVersion = maximumVersion
        message.software = software
        message.trainingSamples = UInt64(trainingSamples)
        message.testSamples = UInt64(testSamples)
        message.classes = UInt32(classes)
        message.sampleShape = sampleShape.map(UInt64.init)
        message.threads = UInt32(threads)
        message.strength = strength
        message.publicSet = publicSet?.digest.data ?? Data()
        message.publicSamples = UInt64(publicSet?.samples ?? 0)
        message.studentParameters = UInt64(studentParameters)
        message.studentClasses = UInt32(studentClasses ?? 0)
        message.teacherClasses = UInt32(teacherClasses ?? 0)
        return message
    }
}

extension CoordinatorMessage {
    /// The protobuf bytes of `pleach.v1.CoordinatorMessage`.
    public func encoded() -> [UInt8] {
        var message = Pleach_V1_CoordinatorMessage()
        switch self {
        case .welcome(let version, let run, let heartbeatSeconds, let acceptedRounds):
            message.welcome.version = version
            message.welcome.run = run
            message.welcome.heartbeatSeconds = heartbeatSeconds
            message.welcome.acceptedRounds = UInt64(acceptedRounds)
        case .refusal(let code, let reason):
            message.refusal.code = .init(rawValue: code.rawValue) ?? .unspecified
            message.refusal.reason = reason.shortened
        case .task(let offer):
            message.task = offer.message
        case .wait(let reason):
            message.wait.reason = reason.shortened
        case .verdict(let round, let accepted, let reason):
            message.verdict.round = UInt64(round)
            message.verdict.accepted = accepted
            message.verdict.reason = reason.shortened
        case .withdrawal(let round, let reason):
            message.withdrawal.round = UInt64(round)
            message.withdrawal.reason = reason.shortened
        case .finished(let succeeded, let reason):
            message.finished.succeeded = succeeded
            message.finished.reason = reason.shortened
        }
        return serialized(message)
    }
}

private func serialized(_ message: some SwiftProtobuf.Message) -> [UInt8] {
    do {
        return try message.serializedBytes()
    } catch {
        preconditionFailure("a proto3 message without required fields always serializes: \(error)")
    }
}

extension String {
    /// At most `MessageLimits.textBytes` bytes of UTF-8.
    var shortened: String {
        guard utf8.count > MessageLimits.textBytes else { return self }
        return String(decoding: utf8.prefix(MessageLimits.textBytes - 4), as: UTF8.self) + "…"
    }
}

extension TaskMetrics {
    fileprivate var message: Pleach_V1_Metrics {
        var message = Pleach_V1_Metrics()
        message.samples = UInt64(samples)
        message.lossSum = lossSum
        message.correct = UInt64(correct)
        message.measured = UInt64(measured)
        message.damaged = UInt64(damaged)
        message.reach = reach
        message.fetchSeconds = fetchSeconds
        message.seconds = seconds
        message.peakBytes = UInt64(peakBytes)
        message.residualNorm = residualNorm
        message.density = density
        message.bitsPerWeight = bitsPerWeight
        return message
    }
}

extension TaskOffer {
    fileprivate var message: Pleach_V1_TaskOffer {
        var message = Pleach_V1_TaskOffer()
        message.round = UInt64(round)
        message.leaseSeconds = leaseSeconds
        message.seed = seed
        message.snapshot = snapshot.message
        message.scheme = scheme.message
        message.acceptedRounds = UInt64(acceptedRounds)
        message.retain = retain.map { $0.data }
        message.changes = changes.map(\.message)
        switch work {
        case .train(let recipe, let teacher, let control, let width):
            message.train = recipe.message
            if let teacher { message.train.teaching = teacher.message }
            if let control {
                message.train.control.previous = control.previous.message
                message.train.control.reach = control.reach
            }
            if let width {
                message.train.width = width.share
                message.train.change = width.change.digest.data
                message.train.changeByteCount = UInt64(width.change.byteCount)
            }
        case .score(let request, let decision):
            message.score.samples = UInt64(request.samples)
            message.score.batch = UInt32(request.batch)
            message.score.learningRate = request.learningRate
            message.score.loss = UInt32(request.loss?.rawValue ?? 0)
            message.score.decision = decision.message
        case .moments(let samples, let selection):
            message.moments.samples = UInt64(samples)
            message.moments.method = UInt32(selection.method.rawValue)
            message.moments.only = selection.only
            message.moments.excluded = selection.excluded
        case .logits(let request): message.logits = request.message
        case .calibrate(let samples, let scope):
            message.calibrate.samples = UInt64(samples)
            message.calibrate.scope = scope.message
        case .inputMoments(let samples, let scope):
            message.inputMoments.samples = UInt64(samples)
            message.inputMoments.scope = scope.message
        case .sensitivity(let request): message.sensitivity = request.message
        case .compare(let samples, let scope, let compact):
            message.compare.samples = UInt64(samples)
            message.compare.scope = scope.message
            message.compare.compact = compact.digest.data
            message.compare.compactByteCount = UInt64(compact.byteCount)
        case .evaluate(let samples, let compact, let loss):
            message.evaluate.loss = UInt32(loss?.rawValue ?? 0)
            message.evaluate.samples = UInt64(samples ?? 0)
            guard let compact else { break }
            message.evaluate.compact = compact.digest.data
            message.evaluate.compactByteCount = UInt64(compact.byteCount)
        }
        return message
    }
}

extension SnapshotReference {
    var message: Pleach_V1_SnapshotReference {
        var message = Pleach_V1_SnapshotReference()
        message.version = UInt64(version)
        message.digest = snapshot.digest.data
        message.byteCount = UInt64(snapshot.byteCount)
        message.graph = graph.digest.data
        message.graphByteCount = UInt64(graph.byteCount)
        message.maskEpoch = maskEpoch
        message.route = route.map { step in
            var reference = Pleach_V1_DeltaReference()
            reference.blob = step.blob.digest.data
            reference.byteCount = UInt64(step.blob.byteCount)
            reference.from = step.from.data
            reference.to = step.to.data
            reference.kind = UInt32(step.kind.rawValue)
            return reference
        }
        if let recipe {
            message.recipe.architecture = recipe.architecture
            message.recipe.inputShape = (recipe.inputShape ?? []).map(UInt64.init)
            message.recipe.classes = UInt32(recipe.classes ?? 0)
            message.recipe.width = UInt32(recipe.width ?? 0)
            message.recipe.seed = recipe.seed
        }
        return message
    }
}

extension WireScheme {
    fileprivate var message: Pleach_V1_Scheme {
        var message = Pleach_V1_Scheme()
        if case .topK(let density, let method) = selection {
            message.density = density
            message.selection = UInt32(method.rawValue)
        }
        message.values = UInt32(values.rawValue)
        message.blockSize = UInt32(blockSize)
        message.rounding = UInt32(rounding.rawValue)
        message.smallTensorElements = UInt32(smallTensorElements)
        message.smallValues = UInt32(smallValues.rawValue)
        message.errorFeedback = errorFeedback
        message.scaling = UInt32(scaling.rawValue)
        message.levels = UInt32(levels.rawValue)
        message.coding = UInt32(coding.rawValue)
        message.rotates = rotates
        message.budget = UInt64(budget ?? 0)
        message.momentum = momentum
        message.clipNorm = clipNorm ?? 0
        return message
    }
}
