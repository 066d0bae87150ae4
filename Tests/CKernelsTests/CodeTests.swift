import CKernels
import Tensors
import Testing

struct CodeTests {
    @Test(arguments: 1...8) func packedCodesAreABitField(_ bits: Int) {
        for count in KernelFixtures.counts {
            let bytes = KernelFixtures.bytes(count, seed: UInt64(count + bits))
            // All eight bits are random: packing must cut the upper ones off.
            let codes = Guarded(bytes.map { Int8(bitPattern: $0) })
            let packed = Guarded<UInt8>(repeating: 0xff, count: (count * bits + 7) / 8)
            pleach_pack_codes(codes.base, count, UInt32(bits), packed.base)
            #expect(packed.array == KernelFixtures.field(bytes.map { UInt64($0) }, bits: bits))
            let unsigned = bytes.map { Int8(bitPattern: $0 & UInt8(truncatingIfNeeded: (1 << bits) - 1)) }
            let signed = bytes.map { Int8(bitPattern: $0 << UInt8(8 - bits)) >> Int8(8 - bits) }
            for first in [0, 8, 16, 24, 64, 72, 200] where first <= count {
                let out = Guarded<Int8>(repeating: 99, count: count - first)
                pleach_unpack_codes(packed.base, first, count - first, UInt32(bits), true, out.base)
                #expect(out.array == Array(signed[first...]))
                pleach_unpack_codes(packed.base, first, count - first, UInt32(bits), false, out.base)
                #expect(out.array == Array(unsigned[first...]))
            }
        }
    }

    @Test(arguments: KernelFixtures.counts) func rangesAndCountsMatch(_ count: Int) {
        for limit in [3, 127] {
            let codes = KernelFixtures.codes(count, within: limit, seed: UInt64(count) &+ 8)
            let x = Guarded(codes)
            let counts = Guarded<UInt32>(repeating: 3, count: 256)
            pleach_count_codes(x.base, count, counts.base)
            var expected = [UInt32](repeating: 3, count: 256)
            for code in codes { expected[Int(code) + 128] += 1 }
            #expect(counts.array == expected)
            var smallest: Int8 = 0
            var largest: Int8 = 0
            pleach_code_range(x.base, count, &smallest, &largest)
            #expect(smallest == codes.min() ?? 127)
            #expect(largest == codes.max() ?? -128)
            let bytes = Guarded(KernelFixtures.bytes(count, seed: UInt64(count)).map { $0 & UInt8(limit) })
            #expect(pleach_largest_byte(bytes.base, count) == bytes.array.max() ?? 0)
        }
    }

    @Test(arguments: KernelFixtures.counts) func sumsAndSmallestMagnitudesMatch(_ count: Int) {
        let bytes = KernelFixtures.bytes(count, seed: UInt64(count))
        let source = Guarded(bytes)
        for k in 0...7 {
            let sum = bytes.reduce(0) { $0 + UInt64($1 >> UInt8(k)) }
            #expect(pleach_sum_shifted_bytes(source.base, count, UInt32(k)) == sum)
        }
        for floor in [0, 1, 100] {
            let codes = bytes.map { Int8(bitPattern: $0) }.filter { Int($0).magnitude >= floor }
            let kept = Guarded(codes)
            #expect(Int(pleach_smallest_magnitude(kept.base, kept.count)) == codes.map { abs(Int($0)) }.min() ?? 128)
        }
    }

    @Test func extremesAreSeenAnywhere() {
        for place in 0..<200 {
            var codes = [Int8](repeating: 0, count: 200)
            var smallest: Int8 = 0
            var largest: Int8 = 0
            codes[place] = -128
            pleach_code_range(codes, 200, &smallest, &largest)
            #expect(smallest == -128 && largest == 0)
            codes[place] = 127
            pleach_code_range(codes, 200, &smallest, &largest)
            #expect(smallest == 0 && largest == 127)
            var bytes = [UInt8](repeating: 3, count: 200)
            bytes[place] = 200
            #expect(pleach_largest_byte(bytes, 200) == 200)
        }
    }

    @Test(arguments: [0, 1, 2, 5, 40, 127]) func signsAreFolded(_ floor: Int) {
        let all = (-127...127).filter { abs($0) >= floor }
        let numbers = all.map { code in
            floor == 0
                ? (code >= 0 ? 2 * code : -2 * code - 1)
                : (code >= floor ? 2 * (code - floor) : 2 * (-code - floor) + 1)
        }
        for count in KernelFixtures.counts {
            let picks = KernelFixtures.bytes(count, seed: UInt64(count)).map { Int($0) % all.count }
            let codes = Guarded(picks.map { Int8(all[$0]) })
            let folded = Guarded<UInt8>(repeating: 77, count: count)
            pleach_fold_signs(codes.base, count, UInt32(floor), folded.base)
            #expect(folded.array == picks.map { UInt8(numbers[$0]) })
            let unfolded = Guarded<Int8>(repeating: 77, count: count)
            pleach_unfold_signs(folded.base, count, UInt32(floor), unfolded.base)
            #expect(unfolded.array == codes.array)
        }
    }
}
