import Federation
import Tensors

/// One honest worker: what dies with its process and what is on its disk.
final class WorkerProcess {
    /// One thing for the task thread.
    enum Job {
        case prepare(TaskOffer, memory: WorkerMemory)
        case run(TaskOffer, residual: Digest?, stepsLeft: Int)

        var round: Int {
            switch self {
            case .prepare(let offer, _), .run(let offer, _, _): offer.round
            }
        }
    }

    let index: Int
    let name: String
    let samples: Int
    /// What its data contributes to every result.
    let shard: UInt64
    /// Whether a recipe gives the same bytes here as on the coordinator.
    let buildsSameBytes: Bool
    let taskSeconds: Double
    /// Of every width that a plan may have.
    let strength: Double

    // Durable.
    var memory = WorkerMemory()
    var heldFile: [Digest] = []
    var disk = SimulatedDisk()

    // Of the process.
    var machine: WorkerMachine
    var life = 0
    var isUp = false
    /// Whether it was told that the run is over.
    var isHome = false
    var clock: SimulatedClock
    var stalledUntil = 0.0

    // Of its task thread.
    var jobs: [Job] = []
    var cancelled: Set<Int> = []
    var fetchedWhole: Set<Digest> = []

    init(_ index: Int, random: inout SeededGenerator) {
        self.index = index
        name = index < 10 ? "w0\(index)" : "w\(index)"
        samples = random.integer(1...5000)
        shard = mixed(UInt64(index), 21)
        buildsSameBytes = random.chance(0.8)
        taskSeconds = random.magnitude(0.05, 3)
        strength = Self.strength(of: index)
        clock = SimulatedClock(bornAt: 0, random: &random)
        machine = WorkerMachine(
            hello: Self.hello(samples, strength: strength), memory: memory, held: [], patienceSeconds: 1,
            at: clock.local(0))
    }

    static func strength(of index: Int) -> Double { [1, 0.5, 0.3, 0.1][index % 4] }

    static func hello(_ samples: Int, strength: Double = 1) -> Hello {
        Hello(
            software: "simulated", trainingSamples: samples, testSamples: samples, classes: 2, sampleShape: [],
            threads: 1, strength: strength)
    }

    // MARK: Shelf

    /// What must be fetched before `reference` can be opened; empty when nothing is missing.
    func missing(for reference: SnapshotReference) -> [BlobReference] {
        let hasGraph = disk.contains(reference.graph.digest)
        if disk.contains(reference.snapshot.digest), hasGraph { return [] }
        if fetchedWhole.contains(reference.snapshot.digest) { return whole(reference) }
        if reference.recipe != nil {
            let start = reference.route.first?.from ?? reference.snapshot.digest
            guard build(start, graph: reference.graph.digest) else { return whole(reference) }
        }
        guard let rest = remainingRoute(of: reference),
            disk.contains(reference.graph.digest) || rest.contains(where: { $0.kind == .structure })
        else { return whole(reference) }
        return rest.map(\.blob).filter { !disk.contains($0.digest) }
    }

    /// The steps after the newest snapshot of the route that is on disk; nil when none is.
    private func remainingRoute(of reference: SnapshotReference) -> ArraySlice<DeltaReference>? {
        let route = reference.route
        if let last = route.lastIndex(where: { disk.contains($0.to) }) { return route[(last + 1)...] }
        guard let first = route.first, disk.contains(first.from) else { return nil }
        return route[...]
    }

    private func whole(_ reference: SnapshotReference) -> [BlobReference] {
        [reference.snapshot, reference.graph].filter { !disk.contains($0.digest) }
    }

    private func build(_ start: Digest, graph: Digest) -> Bool {
        if disk.contains(start), disk.contains(graph) { return true }
        guard buildsSameBytes else { return false }
        disk.put(graph)
        disk.put(start)
        return true
    }

    /// Opens a snapshot of which nothing is missing; false when what is on the disk turned out to be of no use.
    func open(_ reference: SnapshotReference) -> Bool {
        if !disk.contains(reference.snapshot.digest) {
            fetchedWhole.insert(reference.snapshot.digest)
            guard derive(reference) else { return false }
            fetchedWhole.remove(reference.snapshot.digest)
        }
        return disk.get(reference.snapshot.digest) && disk.get(reference.graph.digest)
    }

    private func derive(_ reference: SnapshotReference) -> Bool {
        guard let rest = remainingRoute(of: reference), let first = rest.first, disk.get(first.from) else {
            return false
        }
        for step in rest {
            guard disk.get(step.blob.digest) else { return false }
        }
        if rest.contains(where: { $0.kind == .structure }) { disk.put(reference.graph.digest) }
        disk.put(reference.snapshot.digest)
        return true
    }

    /// Removes what neither this task nor a later one needs.
    func collectGarbage(_ offer: TaskOffer, held: [Digest], memory: WorkerMemory) {
        var keep = Set(held)
        keep.insert(offer.snapshot.graph.digest)
        for digest in [memory.residual, memory.pending?.residual, memory.pending?.submission.blob?.digest] {
            if let digest { keep.insert(digest) }
        }
        for reference in offer.work.snapshots { keep.formUnion([reference.snapshot.digest, reference.graph.digest]) }
        keep.formUnion(offer.work.blobs.map(\.digest))
        disk.keepOnly(keep)
    }
}
