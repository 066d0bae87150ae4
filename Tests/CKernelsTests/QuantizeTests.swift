import CKernels
import Tensors
import Testing

struct QuantizeTests {
    /// Largest code and whether levels lie half a step beside the integers: int8, int6, int4, int3, int2.
    static let shapes: [(Int32, Bool)] = [(127, false), (31, false), (7, false), (3, false), (1, true)]
    static let factors: [Float] = [1, 0x1p-10, 0x1p-125, 0x1p-118, 0x1p112]

    /// The definition in CKernels.h.
    static func nearest(_ x: Float, _ scale: Float, _ levels: Int32, _ halfSteps: Bool) -> Int8 {
        guard scale != 0 else { return 0 }
        let low = halfSteps ? -levels - 1 : -levels
        let precise = 1 / Double(scale)
        let inverse = Float(precise)
        if inverse.isNormal {
            let quotient = x * inverse - (halfSteps ? 0.5 : 0)
            return Int8(min(max(quotient, Float(low)), Float(levels)).rounded(.toNearestOrEven))
        }
        let quotient = Double(x) * precise - (halfSteps ? 0.5 : 0)
        return Int8(min(max(quotient, Double(low)), Double(levels)).rounded(.toNearestOrEven))
    }

    @Test(arguments: KernelFixtures.counts) func codesMatchTheDefinition(_ count: Int) {
        let values = KernelFixtures.values(count, seed: UInt64(count) &+ 100, huge: true)
        let x = Guarded(values)
        let out = Guarded<Int8>(repeating: 99, count: count)
        for (number, block) in KernelFixtures.blocks.enumerated() {
            for (levels, halfSteps) in Self.shapes {
                let first = 5 * number
                let factor = Self.factors[(number + Int(levels)) % Self.factors.count]
                let scales = BlockScales(count, block: block, first: first, factor: factor, seed: UInt64(block + count))
                let rounding = pleach_rounding(levels: levels, half_steps: halfSteps, stochastic: false, counter: 0)
                pleach_quantize(x.base, count, scales.bytes.base, factor, block, first, rounding, out.base)
                let expected = values.indices.map { Self.nearest(values[$0], scales[$0], levels, halfSteps) }
                #expect(out.array == expected)
            }
        }
    }

    /// Whatever the arithmetic, no code may be farther off than half a step and a rounding error.
    @Test func codesAreNearest() {
        for (levels, halfSteps) in Self.shapes {
            for half in [0x0001, 0x0100, 0x3555, 0x3c01, 0x7bff] as [UInt16] {
                for factor in Self.factors {
                    let scale = Float(Float16(bitPattern: half)) * factor
                    let top = Float(levels) + (halfSteps ? 0.5 : 0)
                    let values = KernelFixtures.bellShaped(500, seed: 3, scale: 0.4).map {
                        max(-1, min(1, $0)) * top * scale
                    }
                    let scales = BlockScales(halves: [half], block: 1_000, first: 0, factor: factor)
                    var codes = [Int8](repeating: 0, count: 500)
                    let rounding = pleach_rounding(levels: levels, half_steps: halfSteps, stochastic: false, counter: 0)
                    pleach_quantize(values, 500, scales.bytes.base, factor, 1_000, 0, rounding, &codes)
                    for (value, code) in zip(values, codes) where value.isFinite {
                        let level = (Double(code) + (halfSteps ? 0.5 : 0)) * Double(scale)
                        #expect(abs(Double(value) - level) <= Double(scale) * 0.50002)
                    }
                }
            }
        }
    }

    @Test(arguments: KernelFixtures.counts) func stochasticCodesMatchTheDefinition(_ count: Int) {
        let values = KernelFixtures.values(count, seed: UInt64(count) &+ 100)
        let x = Guarded(values)
        let out = Guarded<Int8>(repeating: 99, count: count)
        for (number, block) in KernelFixtures.blocks.enumerated() {
            let (levels, halfSteps) = Self.shapes[number % Self.shapes.count]
            let first = 7 * number
            let factor = Self.factors[number % 4]
            let counter: UInt64 = 0xfeed_0000_1234_5678
            let scales = BlockScales(count, block: block, first: first, factor: factor, seed: UInt64(block + count))
            let rounding = pleach_rounding(levels: levels, half_steps: halfSteps, stochastic: true, counter: counter)
            pleach_quantize(x.base, count, scales.bytes.base, factor, block, first, rounding, out.base)
            // The stream is SeededGenerator's own, entered at `counter`.
            var generator = SeededGenerator(seed: counter)
            for _ in 0..<first { _ = generator.next() }
            let expected = values.indices.map { index in
                let unit = Double(generator.next() >> 12) * 0x1p-52
                guard scales[index] != 0 else { return Int8(0) }
                let quotient = Double(values[index]) * (1 / Double(scales[index])) - (halfSteps ? 0.5 : 0)
                return Int8(
                    min(
                        max((quotient + unit).rounded(.down), Double(halfSteps ? -levels - 1 : -levels)), Double(levels)
                    ))
            }
            #expect(out.array == expected)
        }
    }

    @Test(arguments: [false, true]) func stochasticCodesAreUnbiased(_ halfSteps: Bool) {
        let draws = 4_000
        let scales = BlockScales(halves: [0x3800], block: draws, first: 0, factor: 0.25)
        let step = 0.125
        for quotient in [-1.0, -0.96, -0.5, -0.01, 0, 0.25, 0.5, 0.99, 1.375] {
            let low = (quotient - (halfSteps ? 0.5 : 0)).rounded(.down) + (halfSteps ? 0.5 : 0)
            guard !halfSteps || abs(quotient) <= 1 else { continue }
            let chance = quotient - low
            let values = [Float](repeating: Float(quotient * step), count: draws)
            var codes = [Int8](repeating: 0, count: draws)
            let rounding = pleach_rounding(
                levels: halfSteps ? 1 : 7, half_steps: halfSteps, stochastic: true, counter: 0x1234_5678_9abc)
            pleach_quantize(values, draws, scales.bytes.base, scales.factor, draws, 0, rounding, &codes)
            let levels = codes.map { Double($0) + (halfSteps ? 0.5 : 0) }
            #expect(levels.allSatisfy { $0 == low || $0 == low + 1 })
            let mean = levels.reduce(0, +) / Double(draws)
            #expect(abs(mean - quotient) <= 5 * (chance * (1 - chance) / Double(draws)).squareRoot() + 1e-6)
        }
    }

    @Test(arguments: KernelFixtures.counts) func dequantizationMatches(_ count: Int) {
        let codes = KernelFixtures.codes(count, within: 127, seed: UInt64(count))
        for (number, block) in KernelFixtures.blocks.enumerated() {
            for factor in Self.factors {
                let first = 3 * number
                let scales = BlockScales(count, block: block, first: first, factor: factor, seed: UInt64(block + count))
                let source = Guarded(codes)
                let out = Guarded<Float>(repeating: .nan, count: count)
                for halfSteps in [false, true] {
                    pleach_dequantize(source.base, count, scales.bytes.base, factor, block, first, halfSteps, out.base)
                    let expected = codes.indices.map { (Float(codes[$0]) + (halfSteps ? 0.5 : 0)) * scales[$0] }
                    #expect(out.array.map(\.bitPattern) == expected.map(\.bitPattern))
                }
                let signs = Guarded(KernelFixtures.bytes((first + count + 7) / 8, seed: UInt64(count)))
                pleach_dequantize_signs(signs.base, count, scales.bytes.base, factor, block, first, out.base)
                let signed = (0..<count).map { index in
                    signs.array[(first + index) / 8] >> UInt8((first + index) % 8) & 1 == 1
                        ? -scales[index] : scales[index]
                }
                #expect(out.array.map(\.bitPattern) == signed.map(\.bitPattern))
            }
        }
    }

    @Test(arguments: KernelFixtures.counts) func signBitsMatch(_ count: Int) {
        let values = KernelFixtures.values(count, seed: 3)
        let x = Guarded(values)
        let bits = Guarded<UInt8>(repeating: 0, count: (count + 7) / 8)
        pleach_sign_bits(x.base, count, bits.base)
        #expect(bits.array == KernelFixtures.field(values.map { $0.sign == .minus ? 1 : 0 }, bits: 1))
    }

    @Test(arguments: KernelFixtures.counts) func stochasticSignBitsMatch(_ count: Int) {
        let values = KernelFixtures.bellShaped(count, seed: 4)
        let x = Guarded(values)
        for (number, block) in KernelFixtures.blocks.enumerated() {
            let first = 11 * number
            let scales = BlockScales(count, block: block, first: first, factor: 0x1p-8, seed: UInt64(block + count))
            var generator = SeededGenerator(seed: 42)
            for _ in 0..<first { _ = generator.next() }
            let expected = values.indices.map { index -> UInt64 in
                let centred = 2 * (Double(generator.next() >> 12) * 0x1p-52) - 1
                let inverse = scales[index] == 0 ? 0 : 1 / Double(scales[index])
                return Double(values[index]) * inverse + centred < 0 ? 1 : 0
            }
            let bits = Guarded<UInt8>(repeating: 0, count: (count + 7) / 8)
            pleach_sign_bits_stochastic(
                x.base, count, scales.bytes.base, 0x1p-8, block, 42, UInt64(first), bits.base)
            #expect(bits.array == KernelFixtures.field(expected, bits: 1))
        }
    }

    @Test func stochasticSignBitsAreUnbiased() {
        let draws = 4_000
        let scales = BlockScales(halves: [0x3800], block: draws, first: 0, factor: 0.25)
        for quotient in [-1, -0.75, -0.1, 0, 0.3, 0.9, 1] as [Float] {
            var bits = [UInt8](repeating: 0, count: draws / 8)
            let values = [Float](repeating: quotient * 0.125, count: draws)
            pleach_sign_bits_stochastic(values, draws, scales.bytes.base, 0.25, draws, 9, 0, &bits)
            let negative = bits.reduce(0) { $0 + $1.nonzeroBitCount }
            let mean = 1 - 2 * Double(negative) / Double(draws)
            let error = (1 - Double(quotient * quotient)).squareRoot() / Double(draws).squareRoot()
            #expect(abs(mean - Double(quotient)) <= 5 * error)
        }
    }
}
