import Tensors
import Testing
import UpdateCodec

@testable import Federation

private func digest(_ byte: UInt8) -> Digest { CoordinatorMachineTests.digest(byte) }

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
    .score(samples: 10, batch: 5), .calibrate(samples: 7), .evaluate(samples: nil, compact: nil),
    .evaluate(
        samples: 5,
        compact: CompactReference(
            calibration: BlobReference(digest: digest(5), byteCount: 1),
            compact: BlobReference(digest: digest(6), byteCount: 2),
            method: "mse", percentile: 99, opset: 17)),
]

private let coordinatorMessages: [CoordinatorMessage] =
    [
        .welcome(version: 2, run: "r", heartbeatSeconds: 5, acceptedRounds: 3), .refusal(.data, reason: "no"),
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
                work: $0))
    }

private let workerMessages: [WorkerMessage] = [
    .hello(CoordinatorMachineTests.hello), .ready(held: [digest(1), digest(2)]), .ready(held: []),
    .heartbeat(round: nil, progress: 0), .heartbeat(round: 3, progress: 0.5),
    .submission(CoordinatorMachineTests.submission(3)),
    .submission(Submission(round: 1, blob: nil, metrics: TaskMetrics(samples: 1))),
    .decline(round: 1, reason: "no memory"), .goodbye(reason: "bye"),
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

@Test func reasonsThatAreTooLongAreShortenedNotRefused() throws {
    let message = CoordinatorMessage.wait(reason: String(repeating: "é", count: 5000))
    guard case .wait(let reason) = try CoordinatorMessage(decoding: message.encoded()) else { return }
    #expect(reason.utf8.count <= MessageLimits.textBytes)
}
