import Tensors
import Testing

#if canImport(Engine)
    @testable import Engine
#else
    @testable import EngineData
#endif

@Suite struct DataPartitionTests {
    private static func labels(_ count: Int, classes: Int = 10) -> [Int64] {
        var generator = SeededGenerator(seed: 1)
        return (0..<count).map { _ in Int64(generator.index(below: classes)) }
    }

    @Test(
        arguments: [.iid, .dirichlet(0.01), .dirichlet(0.5), .dirichlet(100), .classes(1), .classes(3), .classes(10)]
            as [DataSpec.Partition], [10, 13])
    func shardsAreDisjointCompleteAndTheSameForEveryone(partition: DataSpec.Partition, shards: Int) throws {
        let dealer = Partitioner(labels: Self.labels(1_000), shardCount: shards, seed: 7)
        let parts = try (1...shards).map { try dealer.shard($0, by: partition) }
        #expect(parts.flatMap { $0 }.sorted() == Array(0..<1_000))
        #expect(parts.allSatisfy { !$0.isEmpty && $0 == $0.sorted() })
        let again = Partitioner(labels: Self.labels(1_000), shardCount: shards, seed: 7)
        #expect(try again.shard(3, by: partition) == parts[2])
        #expect(try Partitioner(labels: dealer.labels, shardCount: shards, seed: 8).shard(3, by: partition) != parts[2])
    }

    @Test func iidSizesDifferByOneAtMost() throws {
        let sizes = try Partitioner(labels: Self.labels(1_000), shardCount: 7, seed: 7).deal(.iid).map(\.count)
        #expect(Set(sizes) == [142, 143])
    }

    /// A small alpha gives most of a class to one shard, a large one spreads it evenly; nobody goes without.
    @Test func dirichletSkewFollowsAlpha() throws {
        let labels = Self.labels(4_000)
        let dealer = Partitioner(labels: labels, shardCount: 4, seed: 3)
        func largestShare(_ alpha: Double) throws -> Double {
            let shards = try dealer.deal(.dirichlet(alpha))
            #expect(shards.allSatisfy { $0.count >= Partitioner.fewestSamples })
            let shares = (0..<10).map { label in
                let counts = shards.map { shard in shard.count { labels[$0] == Int64(label) } }
                return Double(counts.max() ?? 0) / Double(counts.reduce(0, +))
            }
            return shares.reduce(0, +) / 10
        }
        #expect(try largestShare(0.01) > 0.95)
        #expect(try (0.45...0.9).contains(largestShare(0.5)))
        #expect(try (0.25..<0.3).contains(largestShare(1_000)))
    }

    @Test func tinyAlphaOverManyShardsStillFeedsEveryone() throws {
        let shards = try Partitioner(labels: Self.labels(300), shardCount: 100, seed: 3).deal(.dirichlet(0.001))
        #expect(shards.allSatisfy { !$0.isEmpty })
        #expect(shards.flatMap { $0 }.sorted() == Array(0..<300))
    }

    @Test func classesGiveEachShardExactlyThatMany() throws {
        let labels = Self.labels(1_000)
        for shard in try Partitioner(labels: labels, shardCount: 10, seed: 7).deal(.classes(2)) {
            #expect(Set(shard.map { labels[$0] }).count == 2)
        }
    }

    @Test func impossiblePartitionsAreRefused() {
        func reason(_ labels: [Int64], _ shards: Int, _ partition: DataSpec.Partition) -> String {
            do { return "\(try Partitioner(labels: labels, shardCount: shards, seed: 0).deal(partition))" } catch {
                return error.reason
            }
        }
        #expect(reason([0, 1], 3, .iid).contains("2 samples are too few for 3 shards"))
        #expect(reason(Self.labels(100), 3, .classes(2)).contains("use at least 5 shards or classes:4"))
        #expect(reason(Self.labels(100), 3, .classes(11)).contains("more than the 10 classes"))
        #expect(reason([0, 0, 0, 1], 4, .classes(1)).contains("class 1 has 1 samples for 2 shards"))
    }

    /// Mean and variance of gamma samples, against theory (both alpha).
    @Test(arguments: [0.3, 1, 4.5])
    func gammaSamplesHaveTheRightMoments(alpha: Double) {
        var generator = SeededGenerator(seed: 2)
        let samples = (0..<20_000).map { _ in Dirichlet.gamma(alpha, using: &generator) }
        let mean = samples.reduce(0, +) / 20_000
        let variance = samples.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / 20_000
        #expect(abs(mean - alpha) < 0.05 * alpha)
        #expect(abs(variance - alpha) < 0.1 * alpha)
    }

    @Test func apportioningIsExact() {
        #expect(Partitioner.apportion(10, by: [0.5, 0.25, 0.25]) == [5, 3, 2])
        #expect(Partitioner.apportion(1, by: [0.4, 0.6]) == [0, 1])
        #expect(Partitioner.apportion(0, by: [0.4, 0.6]) == [0, 0])
        #expect(Partitioner.apportion(7, by: [1, 0, 0]) == [7, 0, 0])
    }
}
