import Tensors
import Testing

@testable import UpdateCodec

struct SelectionTests {
    private func ranked(_ values: [Float]) -> [Int] {
        values.indices.sorted { (a: Int, b: Int) in
            (-values[a].magnitude, a) < (-values[b].magnitude, b)
        }.filter { values[$0] != 0 }
    }

    @Test func exactIsExactWithTiesToTheLowerIndex() {
        for (count, levels) in [(1, 3), (10, 2), (100, 5), (1_000, 1_000_000), (3_000, 40), (20_000, 1 << 22)] {
            var generator = SeededGenerator(seed: UInt64(count))
            let values = (0..<count).map { _ in
                Float(generator.index(below: 2 * levels) - levels) * (generator.index(below: 9) == 0 ? 0x1p-139 : 0.37)
            }
            let ranked = ranked(values)
            for wanted in [1, 2, count / 10 + 1, count / 2 + 1, count] {
                for threads in [1, 3] {
                    let chosen = values.withUnsafeBufferPointer {
                        MagnitudeSelection.largest(wanted, of: $0, force: WorkForce(threads: threads))
                    }
                    #expect(chosen.ranks == ranked.prefix(wanted).sorted().map { UInt32($0) })
                    #expect(chosen.values == chosen.ranks.map { values[Int($0)] })
                }
            }
        }
    }

    /// More elements than are sampled, and a sample that sees none of the few large ones.
    @Test func exactIsExactWhereTheSampleMisleads() {
        let count = 1_200_000
        var values = Fixtures.bellShaped(count, seed: 4, scale: 1e-3)
        for index in stride(from: 1, to: count, by: 997) { values[index] = 1 + Float(index) }
        for wanted in [3, 500, 900, 30_000] {
            let chosen = values.withUnsafeBufferPointer { MagnitudeSelection.largest(wanted, of: $0) }
            let magnitudes = values.map(\.magnitude).sorted(by: >)
            #expect(chosen.ranks.count == wanted)
            #expect(chosen.values.map(\.magnitude).min() == magnitudes[wanted - 1])
            #expect(chosen.ranks == chosen.ranks.sorted())
        }
    }

    /// Columns of a matrix that differ are met in their share, whatever the width.
    @Test(arguments: [0.1, 10] as [Float]) func aThresholdSeesAllColumns(_ factor: Float) {
        var values = Fixtures.bellShaped(768 * 768, seed: 11)
        for index in values.indices where index % 768 % 3 == 0 { values[index] *= factor }
        let chosen = values.withUnsafeBufferPointer { MagnitudeSelection.aboveSampledThreshold(5_898, of: $0) }
        #expect(abs(Double(chosen.ranks.count) / 5_898 - 1) < 0.1)
    }

    @Test func aThresholdFindsAboutAsMany() {
        let values = Fixtures.bellShaped(600_000, seed: 6)
        for wanted in [6_000, 60_000] {
            let chosen = values.withUnsafeBufferPointer { MagnitudeSelection.aboveSampledThreshold(wanted, of: $0) }
            #expect(abs(Double(chosen.ranks.count) / Double(wanted) - 1) < 0.1)
            let least = chosen.values.map(\.magnitude).min() ?? 0
            #expect(values.filter { $0.magnitude >= least }.count == chosen.ranks.count)
        }
    }

    /// Equal magnitudes pass a threshold all or none; then the exact ones are sent.
    @Test(arguments: [1, 1.99999, 1.1249999] as [Float]) func aThresholdThatCannotDivideIsNotUsed(_ magnitude: Float)
        throws
    {
        let values = (0..<600_000).map { $0 % 3 == 0 ? magnitude : -magnitude }
        let scheme = WireScheme(
            selection: .topK(density: 0.01, method: .threshold), values: .ternary, smallTensorElements: 0)
        let update = try UpdateEncoder.encode(
            NamedTensors([("x", Fixtures.tensor(values))]), header: Fixtures.header(), scheme: scheme)
        #expect(update.density == 0.01)
    }

    @Test(arguments: [1, 40, 4_095]) func blocksHaveTheirLargest(_ perBlock: Int) {
        let values = Fixtures.bellShaped(2 * 4_096 + 1_000, seed: 7)
        let blocks = PositionBlocks(domain: values.count, perBlock: perBlock)
        #expect(blocks.inLastBlock == (perBlock * 1_000 + 4_095) / 4_096)
        for threads in [1, 2] {
            let chosen = values.withUnsafeBufferPointer {
                MagnitudeSelection.largestOfBlocks(blocks, of: $0, force: WorkForce(threads: threads))
            }
            var expected: [UInt32] = []
            for start in stride(from: 0, to: values.count, by: 4_096) {
                let block = Array(values[start..<min(start + 4_096, values.count)])
                let count = block.count == 4_096 ? perBlock : blocks.inLastBlock
                expected += ranked(block).prefix(count).sorted().map { UInt32(start + $0) }
            }
            #expect(chosen.ranks == expected)
            #expect(blocks.isFilled(by: chosen.ranks))
        }
        #expect(blocks.count == 2 * perBlock + blocks.inLastBlock)
    }

    @Test func blocksOfZerosAreNotFilled() throws {
        var values = Fixtures.bellShaped(3 * 4_096, seed: 8)
        for index in 4_096..<8_192 { values[index] = index % 2_000 == 0 ? 1 : 0 }
        let scheme = WireScheme(
            selection: .topK(density: 0.001, method: .block), values: .ternary, smallTensorElements: 0)
        let update = try UpdateEncoder.encode(
            NamedTensors([("x", Fixtures.tensor(values))]), header: Fixtures.header(), scheme: scheme)
        let record = try #require(try UpdateDescription(describing: update.bytes).tensors.first)
        #expect(record.positions == "gaps")
        #expect(record.kept == 4 + 2 + 4)
    }

    /// Where Rice coding is not wanted, places in blocks are the shortest; otherwise they win only when they are few.
    @Test func blocksAreWrittenWhereTheyAreTheShortest() throws {
        let tensors = NamedTensors([("x", Fixtures.tensor(100_000, seed: 9))])
        func positions(_ density: Double, _ coding: Coding) throws -> String {
            let scheme = WireScheme(
                selection: .topK(density: density, method: .block), values: .int8, coding: coding,
                smallTensorElements: 0)
            let update = try UpdateEncoder.encode(tensors, header: Fixtures.header(), scheme: scheme)
            return try #require(try UpdateDescription(describing: update.bytes).tensors.first).positions
        }
        #expect(try positions(0.01, .plain) == "blocks")
        #expect(try positions(0.2, .plain) == "bitmap")
        #expect(try positions(0.01, .automatic) == "gaps")
        #expect(try positions(1 / 4_096, .automatic) == "blocks")
    }
}
