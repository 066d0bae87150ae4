import Engine
import Federation
import Foundation
import Ledger
import Tensors
import Testing
import Transport

@testable import Worker

/// What a worker makes of a memory whose blobs are lost.
struct WorkerStoreTests {
    private let bench: TaskBench
    private var state: String { bench.folder + "/state" }

    init() throws { bench = try TaskBench() }

    /// A state folder that remembers an accepted round and a finished one.
    private func remember(isPending: Bool) throws -> WorkerMemory {
        let store = try WorkerStore(directory: state)
        let residual = try store.blobs.put(Self.residual(1))
        var memory = WorkerMemory(run: "r", residual: residual, settledRounds: 4)
        if isPending {
            let result = try store.blobs.put([1, 2, 3])
            memory.pending = WorkerMemory.Pending(
                submission: Submission(
                    round: 4, blob: BlobReference(digest: result, byteCount: 3), metrics: TaskMetrics(samples: 1)),
                residual: try store.blobs.put(Self.residual(2)))
        }
        try store.save(memory)
        return memory
    }

    private static func residual(_ value: Float) -> [UInt8] {
        var tensors = NamedTensors()
        tensors["x"] = Tensor([value], shape: [1])
        return Safetensors.serialize(tensors)
    }

    private func path(_ digest: Federation.Digest) -> String { TaskBench.path(digest, in: state + "/blobs") }

    private func recovered() throws -> RecoveredMemory {
        let store = try WorkerStore(directory: state)
        return try store.recover(store.loadMemory())
    }

    @Test func whatIsWholeIsKept() throws {
        let memory = try remember(isPending: true)
        let found = try recovered()
        #expect(found.memory == memory)
        #expect(found.canSubmit)
        #expect(found.losses.isEmpty)
    }

    @Test(arguments: Damage.allCases)
    func aLostResidualIsSaidOnceAndTheWorkerGoesOnWithoutIt(damage: Damage) async throws {
        let residual = try #require(try remember(isPending: false).residual)
        try damage.strike(path(residual))
        let lines = LogLines()
        let service = try WorkerService(
            WorkerOptions(
                coordinator: "tcp://127.0.0.1:1", serverKey: "",
                data: DataSpec(parsing: TaskBench.data, environment: [:]), name: "w",
                state: state, threads: 1, patienceSeconds: 1),
            sink: { lines.take($0) })
        withExtendedLifetime(service) {}
        let said = lines.all.filter { $0.contains("residual") }
        #expect(said.count == 1 && said[0].contains("lost or damaged"), "\(said)")
        #expect(said.allSatisfy { !$0.contains("\n") })
    }

    /// Lost between two starts or while the worker works: tasks go on without it, and do not fail one after another.
    @Test(arguments: Damage.allCases)
    func tasksRunWithoutALostResidual(damage: Damage) async throws {
        let lost = try #require(try remember(isPending: false).residual)
        try damage.strike(path(lost))
        let found = try recovered()
        #expect(found.memory == WorkerMemory(run: "r", residual: nil, settledRounds: 4))
        let (snapshots, graph, _) = try bench.publish()
        let offer = TaskBench.offer(
            SnapshotReference(version: 0, snapshot: snapshots[0], graph: graph, maskEpoch: 0))
        let residual = try bench.worker.put(Self.residual(1))
        #expect(try await bench.prepare(offer, memory: WorkerMemory(run: "r", residual: residual)) == nil)
        #expect(await bench.run(offer, residual: residual) == nil)
        #expect(bench.lines.all.isEmpty)
        try damage.strike(TaskBench.path(residual, in: bench.folder + "/worker"))
        #expect(await bench.run(offer, residual: residual) == nil)
        let said = bench.lines.all
        #expect(said.count == 1 && said[0].contains("lost or damaged"), "\(said)")
    }

    @Test(arguments: Damage.allCases)
    func aLostResultIsNotSubmittedButItsResidualWaitsForTheLedger(damage: Damage) throws {
        let memory = try remember(isPending: true)
        try damage.strike(path(try #require(memory.pending?.submission.blob?.digest)))
        let found = try recovered()
        #expect(found.memory == memory)
        #expect(!found.canSubmit)
        #expect(found.losses.count == 1 && found.losses[0].contains("round 4"))
    }

    /// The residual of before belongs to a result that may have counted: it must not stand after it.
    @Test(arguments: Damage.allCases)
    func aLostResidualOfAResultLeavesNothingOwed(damage: Damage) throws {
        let memory = try remember(isPending: true)
        try damage.strike(path(try #require(memory.pending?.residual)))
        let found = try recovered()
        #expect(found.canSubmit)
        #expect(found.losses.count == 1)
        #expect(found.memory.residual == memory.residual)
        #expect(found.memory.pending?.submission == memory.pending?.submission)
        let replacement = try #require(found.memory.pending?.residual)
        #expect(replacement != memory.pending?.residual)
        let blobs = try BlobStore(directory: state + "/blobs")
        #expect(try Safetensors.parse(blobs.get(replacement), path: "replacement").tensors.isEmpty)
    }
}
