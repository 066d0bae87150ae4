import CTorch
import Foundation
import Tensors

/// Which samples make up one batch, in which pass over the data.
public struct PlannedBatch: Sendable, Equatable {
    /// Counts from 0 and never falls from one batch to the next.
    public let epoch: Int
    public let indices: [Int]

    public init(epoch: Int, indices: [Int]) {
        self.epoch = epoch
        self.indices = indices
    }
}

/// Makes batches on threads of its own, a few ahead of whoever takes them, in order.
///
/// What a batch holds depends on its samples, the seed and the epoch alone, not on how many threads there are or which was
/// first. Damaged samples are left out and counted; a batch of which nothing is left is passed over. An epoch of which more
/// than 1 % is damaged ends the loading: it does so as soon as that many are found, and an epoch is as long as the plan makes
/// it, so one bad sample of a hundred or more never does. The first error, in the order of the batches, is thrown by
/// `next()`; from then on there are no more batches. Dropping the loader ends its threads.
///
/// Owned by one thread, the one that trains.
public final class BatchLoader {
    /// How many threads make batches, and how far ahead.
    public struct Settings: Sendable, Equatable {
        public var threads: Int
        /// Batches made before they are asked for: what the loader costs in memory.
        public var depth: Int

        /// Precondition: both are positive.
        public init(threads: Int = 1, depth: Int = 4) {
            precondition(threads > 0 && depth > 0, "\(threads) threads, depth \(depth)")
            self.threads = threads
            self.depth = depth
        }
    }

    private let queue: BatchQueue
    private let spec: DataSpec
    private let epochSizes: [Int: Int]
    private var epoch = DamageReport()
    private var epochNumber: Int?
    private var hasEnded = false

    /// What was found in the batches given out so far.
    public private(set) var damage = DamageReport()

    /// Begins at once.
    /// - Parameters:
    ///   - seed: decides augmentation and masks, with the epoch and the sample. nil: nothing is augmented, whatever the SPEC says.
    ///   - classes: columns of the probabilities that mixup makes of labels: the model's classes.
    public init(
        _ dataset: Dataset, plan: [PlannedBatch], seed: UInt64?, classes: Int? = nil, settings: Settings = Settings()
    ) {
        spec = dataset.spec
        var sizes: [Int: Int] = [:]
        for batch in plan { sizes[batch.epoch, default: 0] += batch.indices.count }
        epochSizes = sizes
        queue = BatchQueue(batchCount: plan.count, depth: settings.depth)
        queue.start(threads: min(settings.threads, max(1, plan.count))) { number throws(DataError) in
            let batch = plan[number]
            var loaded = try dataset.samples(
                at: batch.indices, augmentedBy: seed.map { AugmentationSeed(seed: $0, epoch: batch.epoch) },
                classes: classes)
            loaded.epoch = batch.epoch
            return loaded
        }
    }

    deinit { queue.stop() }

    /// The next batch, or nil after the last; waits until it is made.
    /// - Throws: `DataError.tooManyDamagedSamples`, `.damagedSample` for an image of a wrong size.
    public func next() throws(DataError) -> LoadedBatch? {
        while !hasEnded {
            let loaded: LoadedBatch?
            do throws(DataError) { loaded = try queue.take() } catch {
                end()
                throw error
            }
            guard let loaded else { break }
            do throws(DataError) { try count(loaded) } catch {
                end()
                throw error
            }
            if !loaded.indices.isEmpty { return loaded }
        }
        end()
        return nil
    }

    private func end() {
        hasEnded = true
        queue.stop()
    }

    private func count(_ loaded: LoadedBatch) throws(DataError) {
        if epochNumber != loaded.epoch {
            epochNumber = loaded.epoch
            epoch = DamageReport()
        }
        let visited = loaded.indices.count + loaded.damaged.count
        damage.add(visited: visited, damaged: loaded.damaged)
        epoch.add(visited: visited, damaged: loaded.damaged)
        try epoch.check(of: epochSizes[loaded.epoch] ?? epoch.visited, spec: spec)
    }
}

extension DamageReport {
    /// More than one in this many is too many.
    static let tolerance = 100

    /// - Throws: `DataError.tooManyDamagedSamples` when more than 1 % of `samples` are damaged.
    func check(of samples: Int, spec: DataSpec) throws(DataError) {
        guard damaged * Self.tolerance > samples, let first = examples.first else { return }
        throw .tooManyDamagedSamples(
            spec: spec.description, damaged: damaged, samples: samples, first: first.name, reason: first.reason)
    }
}

extension Dataset {
    /// For those who read without a loader: whether what they read was sound enough.
    /// - Throws: `DataError.tooManyDamagedSamples` when more than 1 % of all reads so far found damage.
    public func checkDamage() throws(DataError) {
        let report = damage
        try report.check(of: report.visited, spec: spec)
    }
}

/// The batches on their way from the threads that make them to the one that takes them, in order.
///
/// Invariants: `taken` ≤ every number being made or waiting < `taken + depth`; `running` threads have not returned yet.
final class BatchQueue: @unchecked Sendable {
    // Everything below is read and written with `condition` locked, which is what makes this Sendable.
    private let condition = NSCondition()
    private let batchCount: Int
    private let depth: Int
    private var nextToMake = 0
    private var taken = 0
    private var waiting: [Int: Result<LoadedBatch, DataError>] = [:]
    private var isStopped = false
    private var running = 0

    init(batchCount: Int, depth: Int) {
        self.batchCount = batchCount
        self.depth = depth
    }

    /// Threads that have not ended.
    var runningThreads: Int { condition.withLock { running } }

    /// Starts the threads; each makes the next batch that nobody makes.
    func start(threads: Int, _ make: @escaping @Sendable (Int) throws(DataError) -> LoadedBatch) {
        condition.withLock { running = threads }
        for _ in 0..<threads {
            let thread = Thread { [self] in
                // Resizing must not take the cores that train.
                _ = ct_enter_loader_thread()
                while let number = claim() {
                    do throws(DataError) { deliver(.success(try make(number)), as: number) } catch {
                        deliver(.failure(error), as: number)
                    }
                }
                condition.withLock {
                    running -= 1
                    condition.broadcast()
                }
            }
            thread.name = "pleach-loader"
            thread.start()
        }
    }

    /// The batch after the one taken last, or nil when there are no more.
    func take() throws(DataError) -> LoadedBatch? {
        condition.lock()
        defer { condition.unlock() }
        guard taken < batchCount else { return nil }
        while true {
            if isStopped { return nil }
            if let result = waiting.removeValue(forKey: taken) {
                taken += 1
                condition.broadcast()
                return try result.get()
            }
            condition.wait()
        }
    }

    /// Ends the threads and waits for them: each finishes at most the batch it is at.
    func stop() {
        condition.lock()
        defer { condition.unlock() }
        isStopped = true
        waiting.removeAll()
        condition.broadcast()
        while running > 0 { condition.wait() }
    }

    /// The number of the batch to make now, when the one who takes them is near enough; nil when the thread shall end.
    private func claim() -> Int? {
        condition.lock()
        defer { condition.unlock() }
        while !isStopped, nextToMake < batchCount, nextToMake >= taken + depth { condition.wait() }
        guard !isStopped, nextToMake < batchCount else { return nil }
        nextToMake += 1
        return nextToMake - 1
    }

    private func deliver(_ result: Result<LoadedBatch, DataError>, as number: Int) {
        condition.withLock {
            if !isStopped { waiting[number] = result }
            condition.broadcast()
        }
    }
}
