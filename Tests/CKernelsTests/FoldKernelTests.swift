import CKernels
import Tensors
import Testing

struct FoldKernelTests {
    @Test(arguments: KernelFixtures.counts) func foldMatches(_ count: Int) {
        let values = KernelFixtures.values(count, seed: UInt64(count)).map { min(max($0, -256), 256) }
        let x = Guarded(values)
        let weight: Int64 = 16_777_216
        let terms = values.map { Int64((Double($0) * 0x1p30).rounded(.toNearestOrEven)) * weight }
        let before = (0..<Int64(count)).map { $0 - 5 }
        let sums = Guarded(before)
        pleach_fold_add(sums.base, x.base, count, weight)
        #expect(sums.array == zip(before, terms).map { $0 + $1 })
        let scattered = Guarded<Int64>(repeating: 1, count: 2 * count)
        let indices = Guarded((0..<count).map { UInt32(2 * $0) })
        pleach_fold_add_at(scattered.base, indices.base, x.base, count, weight)
        #expect(scattered.array == terms.flatMap { [1 + $0, 1] })
        let mean = Guarded<Float>(repeating: 0, count: count)
        pleach_fold_mean(sums.base, count, 3 * 0x1p30, mean.base)
        #expect(mean.array == sums.array.map { Float(Double($0) / (3 * 0x1p30)) })
    }

    @Test(arguments: KernelFixtures.counts) func codesFoldLikeTheirValues(_ count: Int) {
        let codes = KernelFixtures.codes(count, within: 127, seed: UInt64(count))
        let source = Guarded(codes)
        for (number, block) in KernelFixtures.blocks.enumerated() {
            let first = 3 * number
            // Products of at most 127 · 2; many need rounding at 2^-30.
            let factor = [Float(0x1p-15), 0x1p-30, 0x1p-45, 0x1p-125][number % 4]
            let scales = BlockScales(count, block: block, first: first, factor: factor, seed: UInt64(block + count))
            for weight in [1, 3, 16_777_216] as [Int64] {
                let before = (0..<Int64(count)).map { $0 * $0 - 5 }
                let sums = Guarded(before)
                pleach_fold_codes(sums.base, source.base, count, scales.bytes.base, factor, block, first, weight)
                let expected = codes.indices.map { index in
                    let value = Float(codes[index]) * scales[index]
                    return before[index] + weight * Int64((Double(value) * 0x1p30).rounded(.toNearestOrEven))
                }
                #expect(sums.array == expected)
            }
            var largest: Float = 0
            var squares = 1.5
            pleach_measure_codes(
                source.base, count, scales.bytes.base, factor, block, first, &largest, &squares)
            #expect(largest == codes.indices.map { (Float(codes[$0]) * scales[$0]).magnitude }.max() ?? 0)
            var expected = 1.5
            var start = 0
            while start < count {
                let end = min(count, ((first + start) / block + 1) * block - first)
                let sum = codes[start..<end].reduce(0) { $0 + Int($1) * Int($1) }
                expected += Double(scales[start]) * Double(scales[start]) * Double(sum)
                start = end
            }
            #expect(squares == expected)
        }
    }

    /// Squares are summed in stretches of fewer bits.
    @Test func manyLargeCodesAreMeasured() {
        let count = 600_000
        let codes = [Int8](repeating: -128, count: count)
        let scales = BlockScales(halves: [0x3c00], block: 1 << 24, first: 0, factor: 1)
        var largest: Float = 0
        var squares = 0.0
        pleach_measure_codes(codes, count, scales.bytes.base, 1, 1 << 24, 0, &largest, &squares)
        #expect(largest == 128 && squares == 16_384 * Double(count))
    }
}
