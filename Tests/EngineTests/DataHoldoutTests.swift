import Tensors
import Testing

#if canImport(Engine)
    @testable import Engine
#else
    @testable import EngineData
#endif

/// What is held back of the training split, and what is left.
@Suite struct DataHoldoutTests {
    /// The labels of the samples on a side, and the rows they are.
    private static func rows(_ options: String) throws -> [Int] {
        let spec = try DataSpec(parsing: "synthetic:digits?samples=300\(options)", environment: [:])
        return try DataSource(spec).selectedRows(spec)
    }

    @Test func bothSidesTogetherAreTheSplitAndShareNothing() throws {
        let held = try Self.rows("&holdout=40&part=public")
        let left = try Self.rows("&holdout=40")
        #expect(held.count == 40 && left.count == 260)
        #expect((held + left).sorted() == Array(0..<300) && held == held.sorted())
        // Taken from everywhere, not a run of neighbours.
        #expect(held != Array(held[0]..<held[0] + 40))
        #expect(try Self.rows("&holdout=40&part=private") == left)
    }

    /// The seed of the SPEC deals shards; it must not decide what is held back.
    @Test func noShardHoldsWhatIsPublicWhateverTheSeed() throws {
        let held = Set(try Self.rows("&holdout=40&part=public&partition=dirichlet:0.5&seed=9"))
        var dealt: [Int] = []
        for shard in 1...3 {
            dealt += try Self.rows("&holdout=40&shard=\(shard)/3&partition=dirichlet:0.5&seed=7")
        }
        #expect(dealt.count == 260 && Set(dealt).count == 260)
        #expect(held.isDisjoint(with: dealt) && held.count == 40)
        #expect(held == Set(try Self.rows("&holdout=40&part=public")))
    }

    @Test func theTestSplitHasNoHoldout() throws {
        let spec = try DataSpec(parsing: "synthetic:digits?samples=300&holdout=40", environment: [:])
        let plain = try DataSpec(parsing: "synthetic:digits?samples=300", environment: [:])
        #expect(try Dataset.load(spec.with(split: .test)).count == Dataset.load(plain.with(split: .test)).count)
        #expect(try Dataset.load(spec).count == 260)
    }

    @Test func labelsGoWithTheirSamples() throws {
        let all = try loadDataset("synthetic:digits?samples=300")
        let held = try loadDataset("synthetic:digits?samples=300&holdout=40&part=public")
        let rows = try Self.rows("&holdout=40&part=public")
        #expect(held.labels == rows.map { all.labels[$0] } && held.classCount == all.classCount)
        #expect(held.batch(0..<40).inputs == all.batch(rows).inputs)
    }

    @Test func whatCannotBeIsRefused() throws {
        expectRefusal("holdout=300 needs fewer than the 300 samples") {
            try loadDataset("synthetic:digits?samples=300&holdout=300")
        }
        expectRefusal("part=public needs holdout=N") { try loadDataset("synthetic:digits?part=public") }
        expectRefusal("part=public needs split=train") {
            try loadDataset("synthetic:digits?holdout=3&part=public&split=test")
        }
        expectRefusal("part=both needs private or public") { try loadDataset("synthetic:digits?holdout=3&part=both") }
        expectRefusal("holdout=0 needs a whole number") { try loadDataset("synthetic:digits?holdout=0") }
    }

    @Test(arguments: ["idx:a?shard=1/4&holdout=5000&partition=classes:2", "npy:b?holdout=3&part=public&limit=2"])
    func canonicalFormsAreFixedPoints(text: String) throws {
        #expect(try DataSpec(parsing: text, environment: [:]).description == text)
    }
}
