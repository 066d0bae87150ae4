import Tensors
import Testing
import UpdateCodec

@testable import Federation

private func digest(_ byte: UInt8) -> Digest { CoordinatorMachineTests.digest(byte) }

private func blob(_ byte: UInt8) -> BlobReference { BlobReference(digest: digest(byte), byteCount: 7) }
private let reference = SnapshotReference(
    version: 3, snapshot: BlobReference(digest: digest(1), byteCount: 99),
    graph: BlobReference(digest: digest(2), byteCount: 9),
    maskEpoch: 4,
    route: [DeltaReference(blob: BlobReference(digest: digest(3), byteCount: 7), from: digest(4), to: digest(1))],
    recipe: Recipe(architecture: "cnn", inputShape: [1, 28, 28], classes: 10, width: nil, seed: 5))

private let offers: [TaskWork] = [
    .train(TrainingRecipe(), teacher: nil),
    .train(
        TrainingRecipe(optimizer: .adamw),
        teacher: TeacherReference(source: .snapshot(reference), temperature: 4, alpha: 0.5)),
    .train(
        TrainingRecipe(),
        teacher: TeacherReference(
            source: .model(BlobReference(digest: digest(8), byteCount: 3)), temperature: 1, alpha: 1)),
    .train(
        TrainingRecipe(),
        teacher: TeacherReference(
            members: [
                .init(.own, weight: 0.25, resize: .nearest), .init(.snapshot(reference)),
                .init(.model(blob(7)), weight: 3, resize: .bilinear),
            ], temperature: 2, alpha: 0)),
    .train(
        TrainingRecipe(),
        teacher: TeacherReference(
            source: .own, temperature: 2, alpha: 0.5,
            features: [
                FeatureTerm(.attentionDivergence, weight: 2, pairs: [.init(student: "s", teacher: "t")]),
                FeatureTerm(.hiddenStates, weight: 0.5),
            ])),
    .train(
        TrainingRecipe(
            epochs: 0.5, batch: 3, accumulate: 4, optimizer: .lamb, learningRate: 1,
            schedule: RateSchedule(.step, warmup: 0.25, stepEvery: 0.125, stepFactor: 0.5), part: 0.25...0.5,
            momentum: 0.5, nesterov: true, weightDecay: 0.25, decay: .weights, loss: .maskedToken,
            labelSmoothing: 0.125,
            clipNorm: 2, clipValue: 3, precision: .bfloat16, proximal: 4, correction: .scaffold),
        teacher: nil, control: ControlReference(previous: reference, reach: 0.75)),
    .train(TrainingRecipe(), teacher: nil, width: ModelWidth(share: 0.1, change: blob(9))),
    .train(
        TrainingRecipe(
            ensemble: EnsembleLesson(
                EnsemblePlan(temperature: 3, alpha: 0.5, epochs: 2, isMutual: true), consensus: blob(7), share: 0.25)),
        teacher: nil),
    .train(TrainingRecipe(ensemble: EnsembleLesson(EnsemblePlan())), teacher: nil),
    .logits(LogitsRequest(samples: 12, classes: 10, trainedRound: 4)),
    .evaluate(samples: 3, compact: nil, loss: .binary),

    .score(
        ScoreRequest(samples: 10, batch: 5, learningRate: 0.5, loss: .binary),
        MaskDecision(
            rules: MaskRules(
                granularity: .channel, criterion: .stability, scope: .isomorphic, rule: .threshold, threshold: 0.25,
                blockRows: 2, blockColumns: 8, multiple: 8, normalized: true, keepsBorders: true,
                excluded: ["conv1", "fc"]), amount: .macs(12_345))),
    .score(
        ScoreRequest(samples: 1, batch: 1),
        MaskDecision(
            rules: MaskRules(granularity: .channel), amount: .milliseconds(target: 0.5, share: 0.25))),
    .score(
        ScoreRequest(samples: 1, batch: 1),
        MaskDecision(rules: MaskRules(), amount: .sparsity(0.5), regrow: 0.3)),
    .score(ScoreRequest(samples: 1, batch: 1), MaskDecision(rules: MaskRules(), amount: .sparsity(0.5))),
    .score(
        ScoreRequest(samples: 1, batch: 1), MaskDecision(rules: MaskRules(granularity: .head), amount: .keep(0.5))),
    .score(
        ScoreRequest(samples: 1, batch: 1), MaskDecision(rules: MaskRules(granularity: .layer), amount: .remove(3))),
    .score(
        ScoreRequest(samples: 1, batch: 1), MaskDecision(rules: MaskRules(granularity: .channel), amount: .weights(9))),
    .score(
        ScoreRequest(samples: 1, batch: 1), MaskDecision(rules: MaskRules(granularity: .channel), amount: .bytes(9))),
    .moments(samples: 9, FactorizableSelection(method: .tucker, only: ["fc1.weight"], excluded: ["conv1", "é"])),
    .calibrate(samples: 7, QuantizationScope()), .evaluate(samples: nil, compact: nil),
    .evaluate(samples: 5, compact: blob(6)),
]

private let coordinatorMessages: [CoordinatorMessage] =
    [
        .welcome(version: 6, run: "r", heartbeatSeconds: 5, acceptedRounds: 3), .refusal(.data, reason: "no"),
        .wait(reason: "later"), .verdict(round: 2, accepted: false, reason: "NaN"),
        .withdrawal(round: 1, reason: "late"),
        .finished(succeeded: true, reason: ""),
    ]
    + offers.map {
        .task(
            TaskOffer(
                round: 1, leaseSeconds: 30, seed: .max, snapshot: reference,
                scheme: WireScheme(selection: .topK(density: 0.05), values: .ternary), acceptedRounds: 1,
                retain: [digest(9)],
                changes: [
                    .structure(blob(4), graph: blob(5)), .fresh,
                ],
                work: $0))
    }

private let workerMessages: [WorkerMessage] = [
    .hello(CoordinatorMachineTests.hello), .ready(held: [digest(1), digest(2)]), .ready(held: []),
    .heartbeat(round: nil, progress: 0), .heartbeat(round: 3, progress: 0.5),
    .submission(CoordinatorMachineTests.submission(3)),
    .submission(Submission(round: 1, blob: nil, metrics: TaskMetrics(samples: 1))),
    .submission(Submission(round: 1, blob: blob(2), metrics: TaskMetrics(samples: 1), width: 0.3)),
    .hello(
        Hello(software: "1", trainingSamples: 1, classes: 2, sampleShape: [3], threads: 1, strength: 0.25)),
    .submission(Submission(round: 1, blob: nil, metrics: TaskMetrics(samples: 900, damaged: 3, reach: 0.5))),
    .decline(round: 1, reason: "no memory"), .goodbye(reason: "bye"), .inquiry(CoordinatorMachineTests.hello),
    .inquiry(Hello(software: "1", trainingSamples: 0, classes: 0, sampleShape: [], threads: 1)),
]

@Test(arguments: coordinatorMessages)
func coordinatorMessagesSurviveTheWire(message: CoordinatorMessage) throws {
    #expect(try CoordinatorMessage(decoding: message.encoded()) == message)
}

@Test(arguments: workerMessages)
func workerMessagesSurviveTheWire(message: WorkerMessage) throws {
    #expect(try WorkerMessage(decoding: message.encoded()) == message)
}

/// Truncated, flipped and random bytes: an error or another valid message, never a trap.
@Test func hostileBytesNeverTrap() {
    var random = SeededGenerator(seed: 3)
    let originals = coordinatorMessages.map { $0.encoded() } + workerMessages.map { $0.encoded() }
    var rejected = 0
    func feed(_ bytes: [UInt8]) {
        if (try? CoordinatorMessage(decoding: bytes)) == nil { rejected += 1 }
        if (try? WorkerMessage(decoding: bytes)) == nil { rejected += 1 }
    }
    for bytes in originals {
        for length in 0..<bytes.count { feed(Array(bytes[..<length])) }
        for _ in 0..<200 {
            var mutated = bytes
            for _ in 0...random.index(below: 4) where !mutated.isEmpty {
                mutated[random.index(below: mutated.count)] = UInt8(truncatingIfNeeded: random.next())
            }
            feed(mutated)
        }
    }
    for _ in 0..<2000 { feed((0..<random.index(below: 64)).map { _ in UInt8(truncatingIfNeeded: random.next()) }) }
    #expect(rejected > 1000)
}

/// One field of a training task that lies at a time: each is refused, none traps.
@Test(
    arguments: [
        { $0.batch = 0 }, { $0.batch = .max }, { $0.accumulate = 0 }, { $0.accumulate = .max }, { $0.optimizer = 3 },
        { $0.optimizer = 256 }, { $0.learningRate = .nan }, { $0.learningRate = -1 }, { $0.learningRate = .infinity },
        { $0.schedule = 4 }, { $0.warmup = -0.5 }, { $0.warmup = .nan }, { $0.stepEvery = 0 }, { $0.stepEvery = 2 },
        { $0.stepFactor = 0 }, { $0.stepFactor = 1e300 }, { $0.start = -1 }, { $0.end = 1.5 }, { $0.start = 0.75 },
        { $0.momentum = 1 }, { $0.weightDecay = .infinity }, { $0.decay = 2 }, { $0.loss = 7 },
        { $0.labelSmoothing = 1 },
        { $0.labelSmoothing = .nan }, { $0.clipNorm = -1 }, { $0.clipValue = .infinity }, { $0.precision = 2 },
        { $0.proximal = -1 }, { $0.proximal = .nan }, { $0.correction = 2 }, { $0.statistics = 3 },
        { $0.control.reach = 0 },
        { $0.control.reach = .nan }, { $0.control.reach = 1e300 }, { $0.width = 0.5 },
        { $0.width = -0.5 }, { $0.width = .nan }, { $0.width = 1.5 },
        {
            $0.width = 0.5
            $0.change = digest(1).data
            $0.correction = 1
        }, { $0.control.previous.route.append(.init()) },
    ] as [@Sendable (inout Pleach_V1_TrainWork) -> Void])
func aTrainingTaskThatLiesIsRefused(lie: @Sendable (inout Pleach_V1_TrainWork) -> Void) throws {
    let offer = TaskOffer(
        round: 1, leaseSeconds: 30, seed: 1, snapshot: reference, scheme: WireScheme(), acceptedRounds: 0,
        work: .train(
            TrainingRecipe(part: 0.25...0.5), teacher: nil, control: ControlReference(previous: reference, reach: 1)))
    var message = try Pleach_V1_CoordinatorMessage(serializedBytes: CoordinatorMessage.task(offer).encoded())
    lie(&message.task.train)
    let bytes: [UInt8] = try message.serializedBytes()
    #expect(throws: MessageError.self) { try CoordinatorMessage(decoding: bytes) }
}

@Test(arguments: [-1, .nan, .infinity, 1.5]) func aWidthThatLiesIsRefused(width: Double) throws {
    let submission = Submission(round: 1, blob: blob(2), metrics: TaskMetrics(samples: 1), width: width)
    var hello = CoordinatorMachineTests.hello
    hello.strength = width
    for message in [WorkerMessage.submission(submission), .hello(hello)] {
        #expect(throws: MessageError.self) { try WorkerMessage(decoding: message.encoded()) }
    }
}

/// A worker that knows nothing of widths says nothing, and trains the whole model.
@Test func aWorkerThatSaysNothingOfItsStrengthHasAllOfIt() throws {
    var message = try Pleach_V1_WorkerMessage(
        serializedBytes: WorkerMessage.hello(CoordinatorMachineTests.hello).encoded())
    message.hello.strength = 0
    #expect(try WorkerMessage(decoding: message.serializedBytes()) == .hello(CoordinatorMachineTests.hello))
}

@Test(arguments: [-1, .nan, .infinity, 1e13]) func aReachThatLiesIsRefused(reach: Double) throws {
    let submission = Submission(round: 1, blob: nil, metrics: TaskMetrics(samples: 1, reach: reach))
    #expect(throws: MessageError.self) { try WorkerMessage(decoding: WorkerMessage.submission(submission).encoded()) }
}

@Test func reasonsThatAreTooLongAreShortenedNotRefused() throws {
    let message = CoordinatorMessage.wait(reason: String(repeating: "é", count: 5000))
    guard case .wait(let reason) = try CoordinatorMessage(decoding: message.encoded()) else { return }
    #expect(reason.utf8.count <= MessageLimits.textBytes)
}
