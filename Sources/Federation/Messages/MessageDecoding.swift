import Foundation
import SwiftProtobuf
import UpdateCodec

// Everything here reads bytes from the network: each count, length and range is checked before it is used.

extension WorkerMessage {
    /// Parses and validates `pleach.v1.WorkerMessage`.
    public init(decoding bytes: [UInt8]) throws(MessageError) {
        let message: Pleach_V1_WorkerMessage = try parsed(bytes)
        switch message.body {
        case .hello(let body):
            self = .hello(try Hello(body))
        case .ready(let body):
            guard body.held.count <= MessageLimits.heldSnapshots else {
                throw MessageError("ready names too many snapshots")
            }
            var held: [Digest] = []
            for data in body.held { held.append(try digest(data, "ready.held")) }
            self = .ready(held: held)
        case .heartbeat(let body):
            let progress = try finite(body.progress, 0...1, "heartbeat.progress")
            self = .heartbeat(round: body.working ? try count(body.round, "heartbeat.round") : nil, progress: progress)
        case .submission(let body):
            let reference: BlobReference? =
                body.blob.isEmpty ? nil : try blob(body.blob, body.byteCount, "submission.blob")
            self = .submission(
                Submission(
                    round: try count(body.round, "submission.round"), blob: reference,
                    metrics: try TaskMetrics(body.metrics), width: try partOfWhole(body.width, "submission.width")))
        case .decline(let body):
            self = .decline(
                round: try count(body.round, "decline.round"), reason: try text(body.reason, "decline.reason"))
        case .goodbye(let body):
            self = .goodbye(reason: try text(body.reason, "goodbye.reason"))
        case .inquiry(let body):
            self = .inquiry(try Hello(body))
        case nil:
            throw MessageError("worker message without a body this version knows")
        }
    }
}

extension CoordinatorMessage {
    /// Parses and validates `pleach.v1.CoordinatorMessage`.
    public init(decoding bytes: [UInt8]) throws(MessageError) {
        let message: Pleach_V1_CoordinatorMessage = try parsed(bytes)
        switch message.body {
        case .welcome(let body):
            self = .welcome(
                version: body.version, run: try text(body.run, "welcome.run"),
                heartbeatSeconds: try finite(
                    body.heartbeatSeconds, MessageLimits.heartbeatSeconds, "welcome.heartbeat_seconds"),
                acceptedRounds: try count(body.acceptedRounds, "welcome.accepted_rounds"))
        case .refusal(let body):
            guard let code = RefusalCode(rawValue: body.code.rawValue) else {
                throw MessageError("unknown refusal code")
            }
            self = .refusal(code, reason: try text(body.reason, "refusal.reason"))
        case .task(let body):
            self = .task(try TaskOffer(body))
        case .wait(let body):
            self = .wait(reason: try text(body.reason, "wait.reason"))
        case .verdict(let body):
            self = .verdict(
                round: try count(body.round, "verdict.round"), accepted: body.accepted,
                reason: try text(body.reason, "verdict.reason"))
        case .withdrawal(let body):
            self = .withdrawal(
                round: try count(body.round, "withdrawal.round"), reason: try text(body.reason, "withdrawal.reason"))
        case .finished(let body):
            self = .finished(succeeded: body.succeeded, reason: try text(body.reason, "finished.reason"))
        case nil:
            throw MessageError("coordinator message without a body this version knows")
        }
    }
}

private func parsed<Message: SwiftProtobuf.Message>(_ bytes: [UInt8]) throws(MessageError) -> Message {
    guard bytes.count <= MessageLimits.messageBytes else {
        throw MessageError("message of \(bytes.count) bytes is too long")
    }
    do {
        return try Message(serializedBytes: bytes)
    } catch {
        throw MessageError("not a message of pleach.proto")
    }
}

func count(_ value: UInt64, _ field: String) throws(MessageError) -> Int {
    guard value <= UInt64(MessageLimits.count) else { throw MessageError("\(field) is out of range") }
    return Int(value)
}

func finite(_ value: Double, _ range: ClosedRange<Double>, _ field: String) throws(MessageError) -> Double {
    guard value.isFinite, range.contains(value) else { throw MessageError("\(field) is out of range") }
    return value
}

func known<Word: RawRepresentable>(
    _ value: UInt32, _ field: String
) throws(MessageError) -> Word where Word.RawValue == UInt8 {
    guard let raw = UInt8(exactly: value), let word = Word(rawValue: raw) else {
        throw MessageError("\(field) holds a value this version does not know")
    }
    return word
}

func text(_ value: String, _ field: String) throws(MessageError) -> String {
    guard value.utf8.count <= MessageLimits.textBytes else { throw MessageError("\(field) is too long") }
    return value
}

func digest(_ data: Data, _ field: String) throws(MessageError) -> Digest {
    guard let digest = Digest(bytes: Array(data)) else { throw MessageError("\(field) is not a digest of 32 bytes") }
    return digest
}

func blob(_ data: Data, _ byteCount: UInt64, _ field: String) throws(MessageError) -> BlobReference {
    guard byteCount <= UInt64(MessageLimits.blobBytes) else { throw MessageError("\(field) declares too many bytes") }
    return BlobReference(digest: try digest(data, field), byteCount: Int(byteCount))
}

private func shape(_ extents: [UInt64], _ field: String) throws(MessageError) -> [Int] {
    guard extents.count <= MessageLimits.shapeRank else { throw MessageError("\(field) has too many axes") }
    var result: [Int] = []
    for extent in extents { result.append(try count(extent, field)) }
    return result
}

/// Of a whole that is meant where nothing is said.
func partOfWhole(_ value: Double, _ field: String) throws(MessageError) -> Double? {
    let value = try finite(value, 0...1, field)
    return value == 0 || value == 1 ? nil : value
}

extension Digest {
    var data: Data { Data(bytes) }
}

extension Hello {
    fileprivate init(_ body: Pleach_V1_Hello) throws(MessageError) {
        guard body.minimumVersion <= body.maximumVersion else { throw MessageError("hello has no protocol version") }
        self.init(
            minimumVersion: body.minimumVersion, maximumVersion: body.maximumVersion,
            software: try text(body.software, "hello.software"),
            trainingSamples: try count(body.trainingSamples, "hello.training_samples"),
            testSamples: try count(body.testSamples, "hello.test_samples"), classes: Int(body.classes),
            sampleShape: try shape(body.sampleShape, "hello.sample_shape"), threads: Int(body.threads),
            strength: try partOfWhole(body.strength, "hello.strength") ?? 1,
            publicSet: try PublicSetName(optional: body),
            studentParameters: try count(body.studentParameters, "hello.student_parameters"),
            studentClasses: body.studentClasses == 0 ? nil : Int(body.studentClasses),
            teacherClasses: body.teacherClasses == 0 ? nil : Int(body.teacherClasses))
    }
}

extension TaskMetrics {
    fileprivate init(_ body: Pleach_V1_Metrics) throws(MessageError) {
        self.init(
            samples: try count(body.samples, "metrics.samples"),
            // A diverged task has no finite loss: it is refused with a reason, not as a broken message.
            lossSum: body.lossSum,
            correct: try count(body.correct, "metrics.correct"), measured: try count(body.measured, "metrics.measured"),
            damaged: try count(body.damaged, "metrics.damaged"),
            reach: try finite(body.reach, MessageLimits.reach, "metrics.reach"),
            fetchSeconds: try finite(body.fetchSeconds, 0...1e9, "metrics.fetch_seconds"),
            seconds: try finite(body.seconds, 0...1e9, "metrics.seconds"),
            peakBytes: try count(body.peakBytes, "metrics.peak_bytes"),
            residualNorm: body.residualNorm.isFinite ? max(0, body.residualNorm) : 0,
            density: try finite(body.density, 0...1, "metrics.density"),
            bitsPerWeight: try finite(body.bitsPerWeight, 0...1024, "metrics.bits_per_weight"))
        guard correct <= measured else { throw MessageError("metrics.correct exceeds metrics.measured") }
    }
}

extension SnapshotReference {
    init(_ body: Pleach_V1_SnapshotReference) throws(MessageError) {
        guard body.route.count <= MessageLimits.routeLength else { throw MessageError("snapshot.route is too long") }
        var route: [DeltaReference] = []
        for step in body.route {
            route.append(
                DeltaReference(
                    try known(step.kind, "snapshot.route.kind"),
                    blob: try blob(step.blob, step.byteCount, "snapshot.route.blob"),
                    from: try digest(step.from, "snapshot.route.from"), to: try digest(step.to, "snapshot.route.to")))
        }
        self.init(
            version: try count(body.version, "snapshot.version"),
            snapshot: try blob(body.digest, body.byteCount, "snapshot.digest"),
            graph: try blob(body.graph, body.graphByteCount, "snapshot.graph"), maskEpoch: body.maskEpoch, route: route,
            recipe: body.hasRecipe ? try Recipe(body.recipe) : nil)
    }
}

extension Recipe {
    fileprivate init(_ body: Pleach_V1_Recipe) throws(MessageError) {
        let extents = try shape(body.inputShape, "recipe.input_shape")
        guard body.classes <= 1 << 20, body.width <= 1 << 16, extents.allSatisfy({ $0 <= 1 << 16 }) else {
            throw MessageError("recipe is out of range")
        }
        self.init(
            architecture: try text(body.architecture, "recipe.architecture"),
            inputShape: extents.isEmpty ? nil : extents, classes: body.classes == 0 ? nil : Int(body.classes),
            width: body.width == 0 ? nil : Int(body.width), seed: body.seed)
    }
}

extension WireScheme {
    fileprivate init(_ body: Pleach_V1_Scheme) throws(MessageError) {
        let density = try finite(body.density, 0...1, "scheme.density")
        let method: SelectionMethod = try known(body.selection, "scheme.selection")
        guard (1...1 << 20).contains(body.blockSize) else { throw MessageError("scheme.block_size is out of range") }
        guard body.smallTensorElements <= 1 << 24 else {
            throw MessageError("scheme.small_tensor_elements is out of range")
        }
        guard body.budget <= UInt64(MessageLimits.blobBytes) else {
            throw MessageError("scheme.budget is out of range")
        }
        let momentum = try finite(body.momentum, 0...1, "scheme.momentum")
        guard momentum < 1 else { throw MessageError("scheme.momentum is out of range") }
        let clipNorm = try finite(body.clipNorm, 0...Double.greatestFiniteMagnitude, "scheme.clip_norm")
        self.init(
            selection: density == 0 ? .dense : .topK(density: density, method: method),
            values: try known(body.values, "scheme.values"), blockSize: Int(body.blockSize),
            rounding: try known(body.rounding, "scheme.rounding"), scaling: try known(body.scaling, "scheme.scaling"),
            levels: try known(body.levels, "scheme.levels"), coding: try known(body.coding, "scheme.coding"),
            rotates: body.rotates, smallTensorElements: Int(body.smallTensorElements),
            smallValues: try known(body.smallValues, "scheme.small_values"), errorFeedback: body.errorFeedback,
            budget: body.budget == 0 ? nil : Int(body.budget), momentum: momentum,
            clipNorm: clipNorm == 0 ? nil : clipNorm)
    }
}

extension TaskOffer {
    fileprivate init(_ body: Pleach_V1_TaskOffer) throws(MessageError) {
        let work: TaskWork
        switch body.work {
        case .train(let train):
            let (recipe, width) = (try TrainingRecipe(train), try ModelWidth(optional: train))
            guard width == nil || recipe.correction == .none else {
                throw MessageError("train.correction and train.width exclude each other")
            }
            guard width == nil || recipe.ensemble == nil else {
                throw MessageError("train.ensemble and train.width exclude each other")
            }
            work = .train(
                recipe, teacher: train.hasTeaching ? try TeacherReference(train.teaching) : nil,
                control: train.hasControl ? try ControlReference(train.control) : nil,
                width: width)
        case .score(let score):
            guard (1...1 << 20).contains(score.batch) else { throw MessageError("score.batch is out of range") }
            work = .score(
                ScoreRequest(
                    samples: try count(score.samples, "score.samples"), batch: Int(score.batch),
                    learningRate: try finite(score.learningRate, 0...100, "score.learning_rate"),
                    loss: score.loss == 0 ? nil : try known(score.loss, "score.loss")),
                try MaskDecision(score.decision))
        case .moments(let moments):
            let samples = try count(moments.samples, "moments.samples")
            work = .moments(samples: samples, try FactorizableSelection(moments))
        case .logits(let logits): work = .logits(try LogitsRequest(logits))
        case .calibrate(let calibrate):
            let samples = try count(calibrate.samples, "calibrate.samples")
            work = .calibrate(samples: samples, try QuantizationScope(calibrate.scope))
        case .inputMoments(let moments):
            let samples = try count(moments.samples, "input_moments.samples")
            work = .inputMoments(samples: samples, try QuantizationScope(moments.scope))
        case .sensitivity(let sensitivity): work = .sensitivity(try SensitivityRequest(sensitivity))
        case .compare(let compare):
            work = .compare(
                samples: try count(compare.samples, "compare.samples"), try QuantizationScope(compare.scope),
                compact: try blob(compare.compact, compare.compactByteCount, "compare.compact"))
        case .evaluate(let evaluate):
            let samples = try count(evaluate.samples, "evaluate.samples")
            work = .evaluate(
                samples: samples == 0 ? nil : samples,
                compact: evaluate.compact.isEmpty
                    ? nil : try blob(evaluate.compact, evaluate.compactByteCount, "evaluate.compact"),
                loss: evaluate.loss == 0 ? nil : try known(evaluate.loss, "evaluate.loss"))
        case nil:
            throw MessageError("task of a kind this version does not know")
        }
        guard body.retain.count <= MessageLimits.heldSnapshots else { throw MessageError("task.retain is too long") }
        var retain: [Digest] = []
        for data in body.retain { retain.append(try digest(data, "task.retain")) }
        guard body.changes.count <= MessageLimits.changes else { throw MessageError("task.changes is too long") }
        var changes: [KeptChange] = []
        for change in body.changes { changes.append(try KeptChange(change)) }
        self.init(
            round: try count(body.round, "task.round"),
            leaseSeconds: try finite(body.leaseSeconds, MessageLimits.leaseSeconds, "task.lease_seconds"),
            seed: body.seed,
            snapshot: try SnapshotReference(body.snapshot), scheme: try WireScheme(body.scheme),
            acceptedRounds: try count(body.acceptedRounds, "task.accepted_rounds"), retain: retain, changes: changes,
            work: work)
    }
}
