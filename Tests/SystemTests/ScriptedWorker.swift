import Federation
import Foundation
import Ledger
import ModelGraph
import Tensors
import Testing
import Transport
import UpdateCodec

/// A real coordinator with a plan for an `mlp` of 4 inputs and 2 classes, and workers that say what the test wants.
final class HostileStage {
    let folder: ScratchFolder
    let coordinator: PleachProcess
    private let endpoint: String

    var state: String { folder.path + "/state" }

    init(_ plan: String) async throws {
        folder = try ScratchFolder()
        let path = try folder.file("plan.yaml", plan)
        let state = folder.path + "/state"
        coordinator = try PleachProcess(["coordinator", path, "--state", state, "--bind", "tcp://127.0.0.1:*"])
        try await waitUntil("the endpoint") { FileManager.default.fileExists(atPath: state + "/endpoint") }
        endpoint = try String(contentsOfFile: state + "/endpoint", encoding: .utf8).trimmingCharacters(in: .newlines)
    }

    /// An allowed worker with keys of its own.
    /// - Parameter endpoint: of another coordinator on the same state than the stage's own.
    func worker(_ name: String, endpoint: String? = nil) throws -> ScriptedWorker {
        let keys = try KeyPair.generate()
        try AllowList(directory: state + "/keys/allowed").allow(key: keys.publicKey, name: name)
        return try ScriptedWorker(
            endpoint: endpoint ?? self.endpoint, keys: keys,
            serverKey: try KeyFile.readPublic(state + "/keys/server.key"))
    }

    private func records() throws -> [LedgerRecord] {
        try Ledger.open(directory: state, readOnly: true).ledgerRecords().map(\.record)
    }

    /// Whose results the ledger counts.
    func contributors(ofRound round: Int) throws -> [String] {
        try records().compactMap {
            if case .contributionAccepted(let facts) = $0, facts.round == round { facts.worker } else { nil }
        }
    }

    func refused() throws -> [(worker: String, reason: String)] {
        try records().compactMap {
            if case .contributionRefused(_, let worker, let reason) = $0 { (worker, reason) } else { nil }
        }
    }

    /// Every file of the coordinator's store.
    func blobFiles() throws -> [String] {
        try FileManager.default.subpathsOfDirectory(atPath: state + "/blobs").filter { path in
            var isFolder: ObjCBool = false
            return FileManager.default.fileExists(atPath: state + "/blobs/" + path, isDirectory: &isFolder)
                && !isFolder.boolValue
        }
    }
}

/// A worker with a valid key and no machine behind it.
final class ScriptedWorker {
    private let client: Client
    private let box = BlobBox()
    private var events: AsyncStream<ClientEvent>.Iterator

    init(endpoint: String, keys: KeyPair, serverKey: String) throws {
        client = try Client(
            connect: endpoint, keys: keys, serverKey: serverKey, limits: Limits(),
            blobs: BlobAccess(
                open: { [box] in box.source($0) },
                receive: { _, _ throws(BlobFailure) in throw .broken(reason: "takes nothing") }))
        events = client.events.makeAsyncIterator()
        send(
            .hello(
                Hello(
                    software: "scripted", trainingSamples: 10, testSamples: 10, classes: 2, sampleShape: [4], threads: 1
                )))
    }

    deinit { client.close() }

    func send(_ message: WorkerMessage) { client.send(message.encoded()) }

    /// The next message from the coordinator; what else the transport tells is left out.
    func message() async throws -> CoordinatorMessage {
        while let event = await events.next() {
            if case .message(let bytes) = event { return try CoordinatorMessage(decoding: bytes) }
        }
        throw Timeout(description: "the connection ended")
    }

    func task() async throws -> TaskOffer {
        while true { if case .task(let offer) = try await message() { return offer } }
    }

    func verdict() async throws -> (isAccepted: Bool, reason: String) {
        while true { if case .verdict(_, let accepted, let reason) = try await message() { return (accepted, reason) } }
    }

    /// Offers `bytes` under their own name or another.
    func submit(_ offer: TaskOffer, serving bytes: [UInt8], as digest: Federation.Digest? = nil) {
        let digest = digest ?? Federation.Digest(hashing: bytes)
        box.hold(bytes, as: digest)
        send(
            .submission(
                Submission(
                    round: offer.round, blob: BlobReference(digest: digest, byteCount: bytes.count),
                    metrics: TaskMetrics(samples: 10))))
    }

    /// Does honestly whatever is asked, until the run is over.
    func finishRun(width: Int) async throws {
        send(.ready(held: []))
        while true {
            switch try await message() {
            case .task(let offer):
                if offer.work.yieldsBlob {
                    submit(offer, serving: try Self.update(for: offer, width: width).bytes)
                } else {
                    let metrics = TaskMetrics(samples: 10, lossSum: 1, correct: 5, measured: 10)
                    send(.submission(Submission(round: offer.round, blob: nil, metrics: metrics)))
                }
            case .verdict(let round, let accepted, let reason):
                #expect(accepted, "round \(round): \(reason)")
                send(.ready(held: []))
            case .finished: return
            default: continue
            }
        }
    }

    /// An update that fits: random values (so that LZ4 leaves them as they are), and the bytes of one of them.
    static func update(for offer: TaskOffer, width: Int) throws -> (bytes: [UInt8], marker: [UInt8]) {
        let parameters = try ModelBuilder.build(
            architecture: "mlp", inputShape: [4], classes: 2, width: width, seed: 7
        ).parameterTensors()
        var random = SeededGenerator(seed: 1)
        var update = NamedTensors()
        var marker: [UInt8] = []
        for (name, tensor) in parameters.ordered {
            let values = (0..<tensor.elementCount).map { _ in random.uniform() * 0.01 + 0.001 }
            if marker.isEmpty { marker = withUnsafeBytes(of: values[1].bitPattern.littleEndian) { Array($0) } }
            update[name] = Tensor(values, shape: tensor.shape)
        }
        let header = UpdateHeader(
            kind: .update, base: offer.snapshot.snapshot.digest.bytes, maskEpoch: offer.snapshot.maskEpoch)
        let scheme = WireScheme(selection: .dense, values: .float32, smallTensorElements: 0)
        return (try UpdateEncoder.encode(update, header: header, scheme: scheme).bytes, marker)
    }
}

/// The one blob a scripted worker serves.
private final class BlobBox: @unchecked Sendable {
    private let lock = NSLock()
    private var blob: (digest: [UInt8], bytes: [UInt8])?

    func hold(_ bytes: [UInt8], as digest: Federation.Digest) {
        lock.withLock { blob = (digest.bytes, bytes) }
    }

    func source(_ digest: [UInt8]) -> BlobSource? {
        lock.withLock { blob?.digest == digest ? blob.map { BlobSource(bytes: $0.bytes) } : nil }
    }
}
