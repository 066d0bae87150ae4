import Federation
import Foundation
import Ledger
import ModelGraph
import Tensors
import Testing
import Transport
import UpdateCodec

/// A real coordinator, and a worker with a valid key that sends what no honest worker would.
@Suite(.serialized)
struct HostileWorkerTests {
    static let plan = """
        name: hostile
        seed: 7
        model: {architecture: mlp, input: [4], classes: 2, width: 3}
        fleet: {workers: 1, quorum: 1, wait: 60s, lease: 20s, heartbeat: 5s}
        stages:
          - train: {rounds: 1}
        """

    /// Answers one task with bytes made by `forge`, and returns the coordinator's verdict on it.
    /// - Parameter substitute: what is sent instead of the bytes that were declared.
    private func verdict(
        substitute: @escaping @Sendable ([UInt8]) -> [UInt8]? = { $0 },
        on forge: (_ honest: [UInt8], _ marker: [UInt8]) -> [UInt8]
    ) async throws -> (reason: String, status: Int32, text: String) {
        let folder = try ScratchFolder()
        let path = try folder.file("plan.yaml", Self.plan)
        let state = folder.path + "/state"
        let keys = try KeyPair.generate()
        try AllowList(directory: state + "/keys/allowed").allow(key: keys.publicKey, name: "mallory")
        let coordinator = try PleachProcess(["coordinator", path, "--state", state, "--bind", "tcp://127.0.0.1:*"])
        try await waitUntil("the endpoint") { FileManager.default.fileExists(atPath: state + "/endpoint") }
        let endpoint = try String(contentsOfFile: state + "/endpoint", encoding: .utf8).trimmingCharacters(
            in: .newlines)

        let parameters = try ModelBuilder.build(architecture: "mlp", inputShape: [4], classes: 2, width: 3, seed: 7)
            .parameterTensors()
        let (update, marker) = Self.update(for: parameters)
        let box = BlobBox(substitute)
        let client = try Client(
            connect: endpoint, keys: keys, serverKey: try KeyFile.readPublic(state + "/keys/server.key"),
            limits: Limits(),
            blobs: BlobAccess(
                open: { box.source($0) },
                receive: { _, _ throws(BlobFailure) in throw .broken(reason: "takes nothing") }))
        defer { client.close() }
        for await event in client.events {
            switch event {
            case .connected:
                let hello = Hello(software: "hostile", trainingSamples: 10, classes: 2, sampleShape: [4], threads: 1)
                client.send(WorkerMessage.hello(hello).encoded())
            case .message(let bytes):
                switch try CoordinatorMessage(decoding: bytes) {
                case .welcome: client.send(WorkerMessage.ready(held: []).encoded())
                case .task(let offer):
                    let header = UpdateHeader(
                        kind: .update, base: offer.snapshot.snapshot.digest.bytes, maskEpoch: offer.snapshot.maskEpoch)
                    let scheme = WireScheme(selection: .dense, values: .float32, smallTensorElements: 0)
                    let honest = try UpdateEncoder.encode(update, header: header, scheme: scheme).bytes
                    let blob = box.hold(forge(honest, marker))
                    client.send(
                        WorkerMessage.submission(
                            Submission(round: offer.round, blob: blob, metrics: TaskMetrics(samples: 10))
                        ).encoded())
                case .verdict(_, let accepted, let reason):
                    #expect(!accepted)
                    // The round stays open for others; this worker's result is on record.
                    #expect(coordinator.isRunning)
                    coordinator.interrupt()
                    let status = try await coordinator.wait(seconds: 60)
                    return (reason, status, coordinator.text)
                default: break
                }
            default: break
            }
        }
        throw Timeout(description: "the connection ended without a verdict")
    }

    /// Random values (so that LZ4 leaves them as they are) and the bytes of one of them.
    private static func update(for parameters: NamedTensors) -> (NamedTensors, marker: [UInt8]) {
        var random = SeededGenerator(seed: 1)
        var update = NamedTensors()
        var marker: [UInt8] = []
        for (name, tensor) in parameters.ordered {
            let values = (0..<tensor.elementCount).map { _ in random.uniform() * 0.01 + 0.001 }
            if marker.isEmpty { marker = withUnsafeBytes(of: values[1].bitPattern.littleEndian) { Array($0) } }
            update[name] = Tensor(values, shape: tensor.shape)
        }
        return (update, marker)
    }

    @Test func anUpdateThatIsNotFiniteIsRefusedAndTheRunSaysSo() async throws {
        let result = try await verdict { honest, marker in
            var bytes = honest
            for start in 0..<(bytes.count - 4) where Array(bytes[start..<start + 4]) == marker {
                bytes.replaceSubrange(start..<start + 4, with: [0, 0, 0xc0, 0x7f])
                return bytes
            }
            Issue.record("the value does not stand in the container as it is")
            return bytes
        }
        #expect(result.reason.contains("NaN"), "\(result.reason)")
        #expect(result.status == 10, "\(result.text)")
        #expect(result.text.contains("mallory"))
    }

    @Test func aTruncatedUpdateIsRefused() async throws {
        let result = try await verdict { honest, _ in Array(honest.dropLast(7)) }
        #expect(!result.reason.isEmpty)
        #expect(result.status == 10, "\(result.text)")
    }

    @Test func bytesThatAreNotThoseDeclaredAreRefusedAtOnce() async throws {
        let wrong = try await verdict(
            substitute: { $0.dropLast() + [$0[$0.count - 1] ^ 1] }, on: { honest, _ in honest })
        #expect(wrong.reason.contains("could not be fetched: bytes declared as blob"), "\(wrong.reason)")
        #expect(wrong.status == 10, "\(wrong.text)")
        let longer = try await verdict(substitute: { $0 + [0] }, on: { honest, _ in honest })
        #expect(longer.reason.contains("could not be fetched: the peer's blob has"), "\(longer.reason)")
        let missing = try await verdict(substitute: { _ in nil }, on: { honest, _ in honest })
        #expect(missing.reason.contains("could not be fetched: the peer does not have it"), "\(missing.reason)")
    }

    @Test func anUpdateOfAnotherSnapshotIsRefused() async throws {
        let result = try await verdict { honest, _ in
            var bytes = honest
            // The base digest is 32 bytes within the header; whatever byte of it changes, it is another snapshot.
            bytes[20] ^= 0xff
            return bytes
        }
        #expect(!result.reason.isEmpty)
        #expect(result.status == 10, "\(result.text)")
    }
}

/// The one blob a hostile worker serves.
final class BlobBox: @unchecked Sendable {
    private let lock = NSLock()
    private var blob: (digest: [UInt8], bytes: [UInt8])?
    private let substitute: @Sendable ([UInt8]) -> [UInt8]?

    init(_ substitute: @escaping @Sendable ([UInt8]) -> [UInt8]?) { self.substitute = substitute }

    func hold(_ bytes: [UInt8]) -> BlobReference {
        let digest = Federation.Digest(hashing: bytes)
        lock.withLock { blob = (digest.bytes, bytes) }
        return BlobReference(digest: digest, byteCount: bytes.count)
    }

    func source(_ digest: [UInt8]) -> BlobSource? {
        lock.withLock {
            blob?.digest == digest ? blob.flatMap { substitute($0.bytes) }.map { BlobSource(bytes: $0) } : nil
        }
    }
}
