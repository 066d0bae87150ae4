import CKernels
import Tensors
import Testing

struct RotateTests {
    static func naive(_ values: [Float], _ log2: Int) -> [Float] {
        var w = values
        for level in 0..<log2 {
            let h = 1 << level
            for i in w.indices where i & h == 0 { (w[i], w[i + h]) = (w[i] + w[i + h], w[i] - w[i + h]) }
        }
        return w
    }

    @Test(arguments: 0...13) func hadamardMatchesItsDefinition(_ log2: Int) {
        for seed in 0..<3 as Range<UInt64> {
            let values = KernelFixtures.values(1 << log2, seed: seed)
            let x = Guarded(values)
            pleach_hadamard(x.base, UInt32(log2))
            #expect(x.array.map(\.bitPattern) == Self.naive(values, log2).map(\.bitPattern))
        }
    }

    @Test(arguments: 0...12) func hadamardTwiceIsACountTimesTheInput(_ log2: Int) {
        // Small integers: every sum is exact.
        let values = KernelFixtures.codes(1 << log2, within: 100, seed: UInt64(log2)).map { Float($0) }
        let x = Guarded(values)
        pleach_hadamard(x.base, UInt32(log2))
        pleach_hadamard(x.base, UInt32(log2))
        #expect(x.array == values.map { $0 * Float(1 << log2) })
    }

    @Test(arguments: KernelFixtures.counts) func signsComeFromSplitMix(_ count: Int) {
        let values = KernelFixtures.values(count, seed: UInt64(count))
        for first in [0, 32, 64, 99, 4_096, 6_400] {
            let x = Guarded(values)
            pleach_random_signs(x.base, count, 0xabcdef, UInt64(first), 0x1p-12)
            var generator = SeededGenerator(seed: 0xabcdef)
            let words = (0...(first + count) / 64).map { _ in generator.next() }
            let expected = values.indices.map { index in
                let product = values[index] * 0x1p-12
                let place = first + index
                return words[place / 64] >> UInt64(place % 64) & 1 == 1 ? -product : product
            }
            #expect(x.array.map(\.bitPattern) == expected.map(\.bitPattern))
        }
    }
}
