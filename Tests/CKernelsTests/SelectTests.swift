import CKernels
import Tensors
import Testing

struct SelectTests {
    @Test(arguments: KernelFixtures.counts) func histogramsMatch(_ count: Int) {
        let values = KernelFixtures.values(count, seed: UInt64(count), huge: true)
        let x = Guarded(values)
        for (shift, prefix) in [(20, 0), (9, 0x3f8), (0, 0)] as [(UInt32, UInt32)] {
            let bins = Guarded<UInt32>(repeating: 5, count: 2_048)
            pleach_magnitude_histogram(x.base, count, shift, prefix, bins.base)
            var expected = [UInt32](repeating: 0, count: 2_048)
            for value in values {
                let bits = value.magnitude.bitPattern
                if bits >> (shift + 11) == prefix { expected[Int((bits >> shift) & 2_047)] += 1 }
            }
            #expect(bins.array == expected)
        }
        for stride in [1, 3, 64] {
            let bins = Guarded<UInt32>(repeating: 5, count: 2_048)
            pleach_sample_magnitudes(x.base, count, stride, bins.base)
            var expected = [UInt32](repeating: 5, count: 2_048)
            for (stratum, start) in Swift.stride(from: 0, to: count, by: stride).enumerated() {
                let hash = UInt64(UInt32(truncatingIfNeeded: stratum) &* 0x9e37_79b1 ^ UInt32(stratum >> 16))
                let index = start + Int((hash * UInt64(min(stride, count - start))) >> 32)
                expected[Int(values[index].magnitude.bitPattern >> 20)] += 1
            }
            #expect(bins.array == expected)
        }
    }

    @Test(arguments: KernelFixtures.counts) func selectionTakesTheFirstTies(_ count: Int) {
        var generator = SeededGenerator(seed: UInt64(count))
        let values = (0..<count).map { _ in Float(generator.index(below: 13) - 6) }
        let x = Guarded(values)
        for (threshold, ties) in [(Float(0), 0), (3, 0), (3, 2), (5, 1_000_000), (6, 1), (7, 3)] {
            var left = ties
            let expected = values.indices.filter { index in
                if values[index].magnitude == threshold, left > 0 {
                    left -= 1
                    return true
                }
                return values[index].magnitude > threshold
            }
            let out = Guarded<UInt32>(repeating: 0, count: expected.count + 1)
            #expect(pleach_select(x.base, count, threshold.bitPattern, ties, out.base) == expected.count)
            #expect(out.array.dropLast() == expected.map { UInt32($0) }[...])
        }
    }

    @Test(arguments: KernelFixtures.counts) func collectionStopsAtItsCapacity(_ count: Int) {
        let values = KernelFixtures.values(count, seed: UInt64(count), huge: true)
        let x = Guarded(values)
        for threshold in [0, 0x1p-149, 0.5, 1.5, 3, 65_504, Float.infinity] as [Float] {
            let found = values.indices.filter { values[$0].magnitude >= threshold }
            for capacity in Set([0, 1, found.count / 2, found.count, found.count + 5]) {
                let indices = Guarded<UInt32>(repeating: 0, count: capacity + 64)
                let taken = Guarded<Float>(repeating: 0, count: capacity + 64)
                let number = pleach_collect(
                    x.base, count, threshold.bitPattern, capacity, indices.base, taken.base)
                #expect(number == found.count)
                let kept = found.prefix(capacity)
                #expect(indices.array.prefix(kept.count).elementsEqual(kept.map { UInt32($0) }))
                #expect(taken.array.prefix(kept.count).map(\.bitPattern) == kept.map { values[$0].bitPattern })
            }
        }
    }
}
