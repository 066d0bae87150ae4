import CKernels
import Testing

/// Each kernel against a slow reference that only uses scalar IEEE arithmetic: whatever machine code was dispatched
/// must give the same bits.
struct ReduceTests {
    @Test(arguments: KernelFixtures.counts) func reductionsMatch(_ count: Int) {
        let values = KernelFixtures.values(count, seed: UInt64(count), huge: true)
        let x = Guarded(values)
        let largest = values.map { $0.magnitude.bitPattern }.max() ?? 0
        #expect(pleach_absmax_bits(x.base, count) == largest)
        #expect(pleach_sum_abs(x.base, count) == KernelFixtures.laneSum(values.map { Double($0.magnitude) }))
        #expect(pleach_sum_squares(x.base, count) == KernelFixtures.laneSum(values.map { Double($0) * Double($0) }))
    }

    @Test(arguments: KernelFixtures.counts) func blocksAreSurveyed(_ count: Int) {
        let values = KernelFixtures.values(count, seed: UInt64(count) &+ 1, huge: true)
        let x = Guarded(values)
        for block in KernelFixtures.blocks + [3, 16, 96, 100] {
            let expected = stride(from: 0, to: count, by: block).map { start in
                values[start..<min(start + block, count)].map { $0.magnitude.bitPattern }.max() ?? 0
            }
            let largest = Guarded<UInt32>(repeating: 77, count: expected.count)
            var nonzero = 99
            #expect(pleach_block_survey(x.base, count, block, largest.base, &nonzero) == expected.max() ?? 0)
            #expect(largest.array == expected)
            #expect(nonzero == values.filter { $0 != 0 }.count)
        }
    }

    /// Counts are taken in stretches of fewer bits.
    @Test func aSurveyOfManyStretchesCountsThemAll() {
        var values = [Float](repeating: 1, count: 200_003)
        for index in stride(from: 0, to: values.count, by: 3) { values[index] = index % 2 == 0 ? 0 : -0.0 }
        values[131_073] = -7
        let expected = values.filter { $0 != 0 }.count
        var nonzero = 0
        for block in [100, 256, 70_001, 1 << 20] {
            var largest = [UInt32](repeating: 0, count: (values.count + block - 1) / block)
            #expect(pleach_block_survey(values, values.count, block, &largest, &nonzero) == Float(7).bitPattern)
            #expect(nonzero == expected)
            #expect(largest[131_073 / block] == Float(7).bitPattern)
            #expect(largest.filter { $0 == Float(1).bitPattern }.count == largest.count - 1)
        }
    }

    @Test func surveysShowInfinitiesAndNaN() {
        for bad in [Float.infinity, -.infinity, .nan, .signalingNaN, -.nan] {
            for place in 0..<70 {
                var values = [Float](repeating: .greatestFiniteMagnitude, count: 70)
                var nonzero = 0
                var largest = [UInt32](repeating: 0, count: 10)
                #expect(pleach_absmax_bits(values, 70) < 0x7f80_0000)
                values[place] = bad
                #expect(pleach_absmax_bits(values, 70) >= 0x7f80_0000)
                #expect(pleach_block_survey(values, 70, 7, &largest, &nonzero) >= 0x7f80_0000)
                #expect(largest.indices.filter { largest[$0] >= 0x7f80_0000 } == [place / 7])
            }
        }
    }

    @Test(arguments: KernelFixtures.counts) func additionAndSubtractionMatch(_ count: Int) {
        let values = KernelFixtures.values(count, seed: UInt64(count) &+ 5)
        let start = KernelFixtures.values(count, seed: UInt64(count) &+ 6)
        let x = Guarded(values)
        let sums = Guarded(start)
        let out = Guarded<Float>(repeating: .nan, count: count)
        pleach_subtract(sums.base, x.base, out.base, count)
        #expect(out.array.map(\.bitPattern) == zip(start, values).map { ($0 - $1).bitPattern })
        pleach_add(sums.base, x.base, count)
        #expect(sums.array.map(\.bitPattern) == zip(start, values).map { ($0 + $1).bitPattern })
    }
}
