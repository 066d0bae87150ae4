import Foundation
import Tensors
import Testing

@testable import Engine

/// The prefetching loader: the same batches whatever the threads, bounded, ended cleanly, damage judged by epoch.
@Suite struct DataLoaderTests {
    private func plan(_ count: Int, batch: Int, epochs: Int) -> [PlannedBatch] {
        (0..<epochs).flatMap { epoch in
            let order = Dataset.shuffledOrder(count: count, seed: UInt64(epoch))
            return stride(from: 0, to: count, by: batch).map {
                PlannedBatch(epoch: epoch, indices: Array(order[$0..<min(count, $0 + batch)]))
            }
        }
    }

    private func all(_ loader: BatchLoader) throws -> [LoadedBatch] {
        var batches: [LoadedBatch] = []
        while let batch = try loader.next() { batches.append(batch) }
        return batches
    }

    @Test func batchesDoNotDependOnThreads() throws {
        let set = try loadDataset("synthetic:digits?samples=60&crop=4&flip=true&cutout=6&mixup=0.4")
        let plan = plan(60, batch: 16, epochs: 3)
        var results: [[LoadedBatch]] = []
        for (threads, depth) in [(1, 1), (1, 4), (3, 1), (4, 2), (4, 50)] {
            let loader = BatchLoader(
                set, plan: plan, seed: 5, classes: 12, settings: .init(threads: threads, depth: depth))
            results.append(try all(loader))
            #expect(try loader.next() == nil)
        }
        #expect(results.allSatisfy { $0 == results[0] })
        #expect(results[0].map(\.indices) == plan.map(\.indices) && results[0].map(\.epoch) == plan.map(\.epoch))
        #expect(results[0][0].batch.targets.shape == [16, 12])
        // Another seed, and another epoch, look different; no seed means no augmentation at all.
        #expect(try all(BatchLoader(set, plan: plan, seed: 6, classes: 12)) != results[0])
        let again = [PlannedBatch(epoch: 1, indices: plan[0].indices)]
        #expect(try all(BatchLoader(set, plan: again, seed: 5, classes: 12))[0].batch != results[0][0].batch)
        let plain = try all(BatchLoader(set, plan: plan, seed: nil))
        #expect(plain[0].batch == Batch(set.batch(plan[0].indices).inputs, targets: set.batch(plan[0].indices).labels))
    }

    @Test func anEmptyPlanEndsAtOnce() throws {
        let set = try loadDataset("synthetic:digits?samples=4")
        #expect(try BatchLoader(set, plan: [], seed: 1).next() == nil)
    }

    /// At most `depth` batches are made beyond those taken, and threads end when nobody takes any more.
    @Test func depthIsABoundAndStoppingEndsThreads() throws {
        let queue = BatchQueue(batchCount: 1_000, depth: 3)
        let made = Counter()
        queue.start(threads: 4) { number throws(DataError) in
            made.add(number)
            return LoadedBatch(
                batch: Batch(Tensor(zeros: [1]), targets: Tensor(zeros: [1])), indices: [number], damaged: [])
        }
        for expected in 0..<20 {
            #expect(try queue.take()?.indices == [expected])
            // Numbers 0...expected are taken, so expected + 1 + depth is out of reach.
            #expect(made.largest <= expected + 3)
        }
        queue.stop()
        #expect(queue.runningThreads == 0)
        #expect(try queue.take() == nil)
        #expect(made.largest < 1_000)
    }

    @Test func droppingTheLoaderEndsIt() throws {
        let set = try loadDataset("synthetic:digits?samples=200")
        for _ in 0..<20 {
            let loader = BatchLoader(set, plan: plan(200, batch: 8, epochs: 50), seed: 1, settings: .init(threads: 3))
            _ = try loader.next()
        }
        // Every loader has waited for its threads; had one not, it would still read.
        let visited = set.damage.visited
        Thread.sleep(forTimeInterval: 0.05)
        #expect(set.damage.visited == visited && visited < 20 * 200 * 50)
    }

    @Test func theFirstErrorInOrderIsThrown() throws {
        let queue = BatchQueue(batchCount: 10, depth: 10)
        queue.start(threads: 3) { number throws(DataError) in
            if number == 2 { Thread.sleep(forTimeInterval: 0.02) }
            if number >= 2 { throw .damagedSample(name: "\(number)", reason: "bad") }
            return LoadedBatch(
                batch: Batch(Tensor(zeros: [1]), targets: Tensor(zeros: [1])), indices: [number], damaged: [])
        }
        #expect(try queue.take()?.indices == [0])
        #expect(try queue.take()?.indices == [1])
        #expect(throws: DataError.damagedSample(name: "2", reason: "bad")) { try queue.take() }
        queue.stop()
    }

    /// 300 images, some of them truncated.
    private func writeImages(_ folder: String, damaged: Set<Int>) throws {
        let whole = plainImage(.jpeg, 10, 20, 30)
        for index in 0..<300 {
            let bytes = damaged.contains(index) ? Array(whole.dropLast(4)) : whole
            try writeFiles(["train/a/\(1_000 + index).jpg": bytes], in: folder)
        }
    }

    @Test func upToOnePerCentIsSkippedAndCounted() throws {
        try withDataFolder { folder in
            try writeImages(folder, damaged: [0, 1, 299])
            let set = try loadDataset("folder:\(folder)")
            // The first three batches hold a damaged sample each: a share far above 1 % of what was visited by then.
            let order = [0, 10, 1, 11, 299, 12] + (0..<300).filter { ![0, 10, 1, 11, 299, 12].contains($0) }
            let batches = (0..<2).flatMap { epoch in
                stride(from: 0, to: 300, by: 2).map { PlannedBatch(epoch: epoch, indices: Array(order[$0..<$0 + 2])) }
            }
            let loader = BatchLoader(set, plan: batches, seed: 1, settings: .init(threads: 2))
            let loaded = try all(loader)
            #expect(loaded.count == 300 && loaded[0].indices == [10] && loaded[0].damaged.count == 1)
            #expect(loaded.reduce(0) { $0 + $1.indices.count } == 2 * 297)
            #expect(loader.damage.visited == 600 && loader.damage.damaged == 6)
            #expect(loader.damage.examples.map { $0.name.suffix(8) } == ["1000.jpg", "1001.jpg", "1299.jpg"])
            #expect(loader.damage.examples[0].reason.contains("remature end of JPEG"))
        }
    }

    @Test func moreThanOnePerCentFailsWithCountShareAndFirstFile() throws {
        try withDataFolder { folder in
            try writeImages(folder, damaged: [5, 50, 100, 200])
            let set = try loadDataset("folder:\(folder)")
            for threads in [1, 3] {
                let batches = plan(300, batch: 10, epochs: 1)
                let loader = BatchLoader(set, plan: batches, seed: 1, settings: .init(threads: threads))
                let message = dataErrorMessage { try all(loader) }
                #expect(
                    message.contains("4 of an epoch's 300 samples are damaged, more than 1 % (1.3 %)"), "\(message)")
                #expect(message.contains(".jpg: ") && !message.contains("\n"))
                #expect(try loader.next() == nil)
            }
            // A batch of nothing but damage is passed over, not given out empty.
            var alone: [[Int]] = [[5], [6]]
            for row in 0..<30 { alone.append((row * 10..<row * 10 + 10).filter { ![5, 50, 100].contains($0) }) }
            let loader = BatchLoader(
                set, plan: alone.map { PlannedBatch(epoch: 0, indices: $0) }, seed: nil)
            #expect(try loader.next()?.indices == [6])
        }
    }
}

/// The largest number seen, from any thread.
private final class Counter: @unchecked Sendable {
    private let lock = NSLock()
    private var value = 0

    var largest: Int { lock.withLock { value } }

    func add(_ number: Int) { lock.withLock { value = max(value, number) } }
}
