import CKernels
import Tensors
import Testing

@testable import UpdateCodec

/// Each kernel against a slow reference that only uses scalar IEEE arithmetic: whatever machine code was dispatched
/// must give the same bits.
struct KernelTests {
    /// Counts around every vector width, then more than a run.
    static let counts = [0, 1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 127, 130, 255, 1_000, 2_049, 4_099]

    /// Bell-shaped numbers with zeros of both signs, denormals, tiny and large magnitudes strewn in.
    static func values(_ count: Int, seed: UInt64) -> [Float] {
        let special: [Float] = [
            0, -0.0, 0x1p-149, -0x1.08p-138, 0x1p-130, 0.5, -0.5, 1.5, 2.5, 255.75, -256, 6e-8, 65_504,
        ]
        var generator = SeededGenerator(seed: seed)
        var values = Fixtures.bellShaped(count, seed: seed &+ 9)
        for index in values.indices where generator.index(below: 4) == 0 {
            values[index] = special[generator.index(below: special.count)]
        }
        return values
    }

    @Test(arguments: counts) func reductionsMatch(_ count: Int) {
        // An offset of one element makes the loads unaligned.
        let values = Self.values(count + 1, seed: UInt64(count))
        values.withUnsafeBufferPointer { all in
            guard let x = all.baseAddress.map({ $0 + 1 }) else { return }
            let plain = Array(all.dropFirst())
            #expect(pleach_absmax_bits(x, count) == plain.map { $0.magnitude.bitPattern }.max() ?? 0)
            #expect(pleach_count_nonzero(x, count) == plain.filter { $0 != 0 }.count)
            var nonzero = 0
            #expect(pleach_survey(x, count, &nonzero) == plain.map { $0.magnitude.bitPattern }.max() ?? 0)
            #expect(nonzero == plain.filter { $0 != 0 }.count)
            #expect(pleach_sum_abs(x, count) == Self.laneSum(plain.map { Double($0.magnitude) }))
            #expect(pleach_sum_squares(x, count) == Self.laneSum(plain.map { Double($0) * Double($0) }))
        }
    }

    /// Its counts are taken in stretches of 65,536.
    @Test func aSurveyOfManyStretchesCountsThemAll() {
        var values = [Float](repeating: 1, count: 200_003)
        for index in stride(from: 0, to: values.count, by: 3) { values[index] = index % 2 == 0 ? 0 : -0.0 }
        values[131_073] = -7
        var nonzero = 0
        #expect(pleach_survey(values, values.count, &nonzero) == Float(7).bitPattern)
        #expect(nonzero == values.filter { $0 != 0 }.count)
    }

    @Test(arguments: counts) func additionMatches(_ count: Int) {
        let values = Self.values(count, seed: UInt64(count) &+ 5)
        let start = Self.values(count, seed: UInt64(count) &+ 6)
        var sums = start
        pleach_add(&sums, values, count)
        #expect(sums.map(\.bitPattern) == zip(start, values).map { ($0 + $1).bitPattern })
    }

    @Test(arguments: counts) func codesAreCounted(_ count: Int) {
        var generator = SeededGenerator(seed: UInt64(count) &+ 8)
        let codes = (0..<count).map { _ in Int8(generator.index(below: 255) - 127) }
        var counts = [UInt32](repeating: 0, count: 256)
        pleach_count_codes(codes, count, &counts)
        for code in -128...127 { #expect(counts[code + 128] == UInt32(codes.filter { Int($0) == code }.count)) }
    }

    /// Eight lanes, the rest going to the first ones, then a tree.
    static func laneSum(_ values: [Double]) -> Double {
        var lanes = [Double](repeating: 0, count: 8)
        for (index, value) in values.enumerated() { lanes[index % 8] += value }
        return ((lanes[0] + lanes[1]) + (lanes[2] + lanes[3])) + ((lanes[4] + lanes[5]) + (lanes[6] + lanes[7]))
    }

    @Test func absmaxShowsInfinitiesAndNaN() {
        for bad in [Float.infinity, -.infinity, .nan, .signalingNaN] {
            for place in 0..<70 {
                var values = [Float](repeating: .greatestFiniteMagnitude, count: 70)
                #expect(pleach_absmax_bits(values, 70) < 0x7f80_0000)
                values[place] = bad
                #expect(pleach_absmax_bits(values, 70) >= 0x7f80_0000)
            }
        }
    }

    @Test(arguments: counts) func quantizationMatches(_ count: Int) {
        let values = Self.values(count, seed: UInt64(count) &+ 100)
        for (scale, levels) in [(0.013, 127.0), (0.21, 7.0), (1e-44, 127.0), (3.0, 7.0)] {
            var codes = [Int8](repeating: 0, count: count)
            pleach_quantize(values, count, 1 / scale, levels, &codes)
            let expected = values.map { value in
                Int8(min(max(Double(value) * (1 / scale), -levels), levels).rounded(.toNearestOrEven))
            }
            #expect(codes == expected)
            let counter: UInt64 = 0xfeed_0000_1234_5678
            let first: UInt64 = 77
            pleach_quantize_stochastic(values, count, 1 / scale, levels, counter, first, &codes)
            // The stream is SeededGenerator's own, entered at `counter`.
            var generator = SeededGenerator(seed: counter)
            for _ in 0..<first { _ = generator.next() }
            let random = values.map { value in
                let unit = Double(generator.next() >> 12) * 0x1p-52
                return Int8(min(max((Double(value) * (1 / scale) + unit).rounded(.down), -levels), levels))
            }
            #expect(codes == random)
        }
    }

    @Test(arguments: counts) func dequantizationMatches(_ count: Int) {
        var generator = SeededGenerator(seed: UInt64(count))
        let first = 5
        let block = 6
        let codes = (0..<count).map { _ in Int8(generator.index(below: 255) - 127) }
        let halves = (0...(first + count) / block).map { _ in UInt16(generator.index(below: 0x7c00)) }
        let bytes = halves.flatMap { [UInt8(truncatingIfNeeded: $0), UInt8($0 >> 8)] }
        let signs = (0...(first + count) / 8).map { _ in UInt8(truncatingIfNeeded: generator.next()) }
        for factor in [Float(1), 0x1p-125, 0x1p100] {
            var out = [Float](repeating: .nan, count: count)
            pleach_dequantize(codes, count, bytes, factor, block, first, &out)
            let scales = halves.map { Float(Float16(bitPattern: $0)) * factor }
            let expected = codes.enumerated().map { Float($1) * scales[(first + $0) / block] }
            #expect(out.map(\.bitPattern) == expected.map(\.bitPattern))
            pleach_dequantize_signs(signs, count, bytes, factor, block, first, &out)
            let signed = (first..<first + count).map { index in
                let scale = scales[index / block]
                return signs[index / 8] >> UInt8(index % 8) & 1 == 1 ? -scale : scale
            }
            #expect(out.map(\.bitPattern) == signed.map(\.bitPattern))
        }
    }

    @Test(arguments: counts) func int4AndSignsRoundTrip(_ count: Int) {
        var generator = SeededGenerator(seed: UInt64(count))
        let codes = (0..<count).map { _ in Int8(generator.index(below: 16) - 8) }
        var packed = [UInt8](repeating: 0xff, count: (count + 1) / 2)
        pleach_pack_int4(codes, count, &packed)
        for first in 0..<min(count, 5) {
            var out = [Int8](repeating: 99, count: count - first)
            pleach_unpack_int4(packed, first, count - first, &out)
            #expect(out == Array(codes[first...]))
        }
        #expect(pleach_minimum_code(codes, count) == codes.min() ?? 127)
        let wide = (0..<count).map { _ in Int8(generator.index(below: 255) - 127) }
        var folded = [UInt32](repeating: 0, count: count)
        pleach_fold_signs(wide, count, &folded)
        #expect(folded == wide.map { $0 >= 0 ? UInt32($0) * 2 : UInt32(-Int($0) * 2 - 1) })
        var unfolded = [Int8](repeating: 0, count: count)
        pleach_unfold_signs(folded, count, &unfolded)
        #expect(unfolded == wide)
        let values = Self.values(count, seed: 3)
        var bits = [UInt8](repeating: 0, count: (count + 7) / 8)
        pleach_sign_bits(values, count, &bits)
        #expect(values.indices.allSatisfy { (bits[$0 / 8] >> UInt8($0 % 8) & 1 == 1) == (values[$0].sign == .minus) })
    }

    @Test func everyHalfConvertsLikeTheHardwareType() {
        let halves = (0...UInt16.max).map { $0 }
        let bytes = halves.flatMap { [UInt8(truncatingIfNeeded: $0), UInt8($0 >> 8)] }
        var floats = [Float](repeating: 0, count: halves.count)
        pleach_from_half(bytes, halves.count, 1, &floats)
        for (half, float) in zip(halves, floats) {
            let expected = Float(Float16(bitPattern: half))
            #expect(float.bitPattern == expected.bitPattern || (float.isNaN && expected.isNaN))
        }
        // Back, with neighbours that need rounding, ties included.
        let finite = floats.filter { $0.isFinite && $0.magnitude < 65_000 }
        let inputs =
            finite.flatMap { [$0, $0.nextUp, $0.nextDown, ($0 + ($0 * 1.001)) / 2] }
            + zip(finite, finite.dropFirst()).map { ($0 + $1) / 2 }
        var out = [UInt8](repeating: 0, count: 2 * inputs.count)
        pleach_to_half(inputs, inputs.count, 1, &out)
        for (index, input) in inputs.enumerated() {
            #expect(UInt16(out[2 * index]) | UInt16(out[2 * index + 1]) << 8 == Float16(input).bitPattern)
        }
    }

    @Test(arguments: counts) func foldMatches(_ count: Int) {
        let values = Self.values(count, seed: UInt64(count)).map { min(max($0, -256), 256) }
        let weight: Int64 = 16_777_216
        let terms = values.map { Int64((Double($0) * 0x1p30).rounded(.toNearestOrEven)) * weight }
        var sums = (0..<Int64(count)).map { $0 - 5 }
        let before = sums
        pleach_fold_add(&sums, values, count, weight)
        #expect(sums == zip(before, terms).map { $0 + $1 })
        var scattered = [Int64](repeating: 1, count: 2 * count)
        pleach_fold_add_at(&scattered, (0..<count).map { UInt32(2 * $0) }, values, count, weight)
        #expect(scattered == terms.flatMap { [1 + $0, 1] })
        var mean = [Float](repeating: 0, count: count)
        pleach_fold_mean(sums, count, 3 * 0x1p30, &mean)
        #expect(mean == sums.map { Float(Double($0) / (3 * 0x1p30)) })
    }
}
