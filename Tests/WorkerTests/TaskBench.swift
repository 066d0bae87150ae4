import Engine
import Federation
import Foundation
import Ledger
import ModelGraph
import Synchronization
import Tensors
import Testing
import UpdateCodec

@testable import Worker

/// A worker's disk and task thread, and a coordinator's store to fetch from: all of a worker but the network.
final class TaskBench {
    let folder: String
    let coordinator: BlobStore
    let worker: BlobStore
    private let thread: TaskThread
    private var events: AsyncStream<WorkerEvent>.Iterator
    /// What the task thread logged.
    let lines = LogLines()
    /// What the last task that was finished gave.
    private(set) var finished: (submission: Submission, residual: Federation.Digest?)?
    /// What was fetched, in order.
    private(set) var fetched: [Federation.Digest] = []

    static let recipe = Recipe(architecture: "mlp", inputShape: [1, 28, 28], classes: 10, width: 4, seed: 3)

    init() throws {
        folder = FileManager.default.temporaryDirectory.appendingPathComponent("worker-\(UUID().uuidString)").path
        coordinator = try BlobStore(directory: folder + "/coordinator")
        worker = try BlobStore(directory: folder + "/worker")
        let (stream, feed) = AsyncStream.makeStream(of: WorkerEvent.self)
        events = stream.makeAsyncIterator()
        thread = TaskThread(
            blobs: worker, directory: folder,
            data: try WorkerData(spec: DataSpec(parsing: Self.data, environment: [:])), ownTeacher: nil, threads: 1,
            echoes: true, log: { [lines] in lines.take($0) }, report: { feed.yield($0) })
    }

    static let data = "synthetic:digits?samples=40"

    deinit {
        thread.wait()
        try? FileManager.default.removeItem(atPath: folder)
    }

    /// Snapshots 0, 1 and 2 of one model, each a delta after the one before; all of it is with the coordinator.
    func publish() throws -> (snapshots: [BlobReference], graph: BlobReference, deltas: [DeltaReference]) {
        let recipe = Self.recipe
        let model = try ModelBuilder.build(
            architecture: recipe.architecture, inputShape: recipe.inputShape, classes: recipe.classes,
            width: recipe.width, seed: recipe.seed)
        let skeleton = PackedBlob.pack(model.skeleton().serialized())
        let graph = BlobReference(digest: try coordinator.put(skeleton), byteCount: skeleton.count)
        var snapshot = Snapshot(graph: graph.digest, parameters: model.parameterTensors())
        var snapshots = [try store(snapshot.serialized())]
        var deltas: [DeltaReference] = []
        for seed in 1...2 as ClosedRange<UInt64> {
            let base = snapshots[snapshots.count - 1].digest
            var noise = BenchmarkNoise(magnitude: 0.1, seed: seed)
            let change = NamedTensors(snapshot.parameters.ordered.map { ($0.name, noise.added(to: $0.tensor)) })
            let delta = try UpdateEncoder.encode(
                change, header: UpdateHeader(kind: .delta, base: base.bytes, maskEpoch: 0),
                scheme: WireScheme(values: .int8), masks: snapshot.masks, seed: seed
            ).bytes
            try snapshot.apply(UpdateReader(delta, layout: snapshot.layout, masks: snapshot.masks))
            snapshots.append(try store(snapshot.serialized()))
            deltas.append(
                DeltaReference(blob: try store(delta), from: base, to: snapshots[snapshots.count - 1].digest))
        }
        return (snapshots, graph, deltas)
    }

    private func store(_ bytes: [UInt8]) throws -> BlobReference {
        BlobReference(digest: try coordinator.put(bytes), byteCount: bytes.count)
    }

    static func offer(_ snapshot: SnapshotReference) -> TaskOffer {
        TaskOffer(
            round: 0, leaseSeconds: 10, seed: 5, snapshot: snapshot,
            scheme: WireScheme(selection: .topK(density: 0.1), values: .int4), acceptedRounds: 0,
            work: .train(TrainingRecipe(), teacher: nil))
    }

    /// Prepares a task as `WorkerMachine` would, fetching what is asked for.
    /// - Returns: nil when it is ready to run, else why it failed.
    func prepare(_ offer: TaskOffer, memory: WorkerMemory = WorkerMemory()) async throws -> String? {
        fetched = []
        for _ in 0..<5 {
            thread.prepare(offer, memory: memory)
            switch await events.next() {
            case .missing(_, let blobs):
                #expect(!blobs.isEmpty)
                for blob in blobs {
                    fetched.append(blob.digest)
                    #expect(try worker.put(coordinator.get(blob.digest), .cache) == blob.digest)
                }
            case .prepared: return nil
            case .taskFailed(_, let reason): return reason
            case let other: return "\(String(describing: other))"
            }
        }
        return "something is missing however often it is fetched: \(fetched.map(\.short))"
    }

    /// Runs a prepared task.
    /// - Returns: nil when it has a result, else why it failed.
    func run(_ offer: TaskOffer, residual: Federation.Digest? = nil) async -> String? {
        thread.run(offer, residual: residual)
        while let event = await events.next() {
            switch event {
            case .progressed: continue
            case .taskFinished(let submission, let residual, _):
                finished = (submission, residual)
                return nil
            case .taskFailed(_, let reason): return reason
            default: return "\(event)"
            }
        }
        return "nothing was reported"
    }

    /// A store as the next process finds it: what this one has verified is not known to be whole any more.
    static func reopened(_ store: String) throws -> BlobStore { try BlobStore(directory: store) }

    static func path(_ digest: Federation.Digest, in store: String) -> String {
        "\(store)/\(digest.hex.prefix(2))/\(digest.hex)"
    }
}

/// What may happen to a file.
enum Damage: CaseIterable, Sendable {
    case lost, flipped, truncated

    func strike(_ path: String) throws {
        var bytes = try Data(contentsOf: URL(fileURLWithPath: path))
        switch self {
        case .lost: try FileManager.default.removeItem(atPath: path)
        case .flipped:
            bytes[bytes.count / 2] ^= 1
            try bytes.write(to: URL(fileURLWithPath: path))
        case .truncated: try bytes.dropLast(3).write(to: URL(fileURLWithPath: path))
        }
    }
}

/// Log events from any thread, a line each.
final class LogLines: Sendable {
    private let lines = Mutex<[String]>([])

    func take(_ event: LogEvent) {
        lines.withLock { $0.append("\(event.level) \(event.name) \(event.fields.map { "\($0.1)" })") }
    }

    var all: [String] { lines.withLock { $0 } }
}
