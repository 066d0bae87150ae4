import CKernels
import Tensors
import Testing

struct LevelTests {
    /// Ascending halves, some of them equal, in a buffer of 256 as records have.
    static func levels(_ count: Int, seed: UInt64) -> [Float] {
        var generator = SeededGenerator(seed: seed)
        let some = (0..<count).map { index in
            Float(Float16(index % 60 == 3 ? 0.25 : (generator.uniform() + generator.uniform() - 1)))
        }
        return some.sorted()
    }

    static func quotient(_ x: Float, _ scale: Float) -> Float {
        guard scale != 0 else { return 0 }
        let precise = 1 / Double(scale)
        let inverse = Float(precise)
        return inverse.isNormal ? x * inverse : Float(Double(x) * precise)
    }

    @Test(arguments: [1, 2, 3, 5, 15, 16, 17, 31, 100, 255, 256]) func theNearestLevelIsTaken(_ levelCount: Int) {
        let levels = Self.levels(levelCount, seed: UInt64(levelCount))
        let table = Guarded(levels)
        for count in [0, 1, 15, 16, 17, 63, 130, 1_000, 2_049] {
            for (number, block) in KernelFixtures.blocks.enumerated() {
                let first = 3 * number
                let factor = [Float(0x1p-15), 0x1p-125, 0x1p112, 1][number % 4]
                let scales = BlockScales(count, block: block, first: first, factor: factor, seed: UInt64(count + block))
                // Beyond the ends, between levels, on them, and on the borders between them.
                var generator = SeededGenerator(seed: UInt64(count))
                let values = (0..<count).map { index -> Float in
                    let level = levels[generator.index(below: levelCount)]
                    let next = levels[min(generator.index(below: levelCount) + 1, levelCount - 1)]
                    let choice = [level, (level + next) / 2, generator.uniform() * 3 - 1.5, 1e30, -1e30]
                    return choice[generator.index(below: 5)] * scales[index]
                }.map { $0.isFinite ? $0 : 1 }
                let x = Guarded(values)
                let out = Guarded<UInt8>(repeating: 77, count: count)
                pleach_quantize_levels(
                    x.base, count, scales.bytes.base, factor, block, first, table.base, levelCount, out.base)
                let expected = values.indices.map { index in
                    let quotient = Self.quotient(values[index], scales[index])
                    return UInt8(zip(levels, levels.dropFirst()).filter { ($0 + $1) / 2 < quotient }.count)
                }
                #expect(out.array == expected)
            }
        }
    }

    @Test func levelsAreNearestInExactArithmetic() {
        for levelCount in [2, 16, 256] {
            let levels = Self.levels(levelCount, seed: 5)
            let values = KernelFixtures.bellShaped(2_000, seed: 6)
            let scales = BlockScales(halves: [0x3c00], block: 2_000, first: 0, factor: 1)
            var out = [UInt8](repeating: 0, count: 2_000)
            pleach_quantize_levels(values, 2_000, scales.bytes.base, 1, 2_000, 0, levels, levelCount, &out)
            for (value, code) in zip(values, out) {
                let distance = abs(levels[Int(code)] - value)
                #expect(levels.allSatisfy { distance <= abs($0 - value) })
            }
        }
    }

    /// Many lookups go over a grid, whose cells hold none, one or a few of the borders.
    @Test(arguments: [1, 2, 3, 5, 20]) func bordersAreExactOnAGrid(_ crowding: Int) {
        // Heaps of levels an 8,192nd apart.
        var levels: [Float] = []
        for heap in 0..<255 / crowding {
            for place in 0..<crowding { levels.append(Float(heap * crowding) / 128 - 1 + Float(place) / 8_192) }
        }
        let borders: [Float] = zip(levels, levels.dropFirst()).map { ($0 + $1) / 2 }
        let some: [Float] = (borders + levels).flatMap { [$0, $0.nextUp, $0.nextDown] }
        let values: [Float] = some + some.map { $0 * 1.01 } + some.map { -$0 } + [0, -0.0, 5, -5]
        let scales = BlockScales(halves: [0x3c00], block: 1, first: 0, factor: 1)
        var out = [UInt8](repeating: 0, count: values.count)
        #expect(values.count >= 2_048)
        pleach_quantize_levels(values, values.count, scales.bytes.base, 1, values.count, 0, levels, levels.count, &out)
        #expect(out == values.map { value in UInt8(borders.filter { $0 < value }.count) })
    }

    /// Tiny and clustered levels, where a uniform grid is of no help.
    @Test func clusteredLevelsAreFound() {
        let levels = (0..<254).map { Float($0) * 0x1p-24 } + [1, 60_000]
        let values = (0..<3_000).map { Float($0) * 0x1.1p-27 } + [0.4, 0.5, 0.6, 40_000, -3]
        let scales = BlockScales(halves: [0x3c00], block: 1, first: 0, factor: 1)
        var out = [UInt8](repeating: 0, count: values.count)
        pleach_quantize_levels(values, values.count, scales.bytes.base, 1, values.count, 0, levels, 256, &out)
        for (value, code) in zip(values, out) {
            #expect(Int(code) == zip(levels, levels.dropFirst()).filter { ($0 + $1) / 2 < value }.count)
        }
    }

    @Test func anythingGivesACodeInRange() {
        let levels = Self.levels(200, seed: 1)
        let values: [Float] = [.nan, .infinity, -.infinity, -.nan, .greatestFiniteMagnitude, 0x1p-149]
        let scales = BlockScales(halves: [0x3c00], block: 6, first: 0, factor: 1)
        for count in [1, 2, 16, 17, 200] {
            var out = [UInt8](repeating: 255, count: 6)
            pleach_quantize_levels(values, 6, scales.bytes.base, 1, 6, 0, levels, count, &out)
            #expect(out.allSatisfy { Int($0) < count })
            out = [UInt8](repeating: 255, count: 6)
            pleach_quantize_levels_stochastic(values, 6, scales.bytes.base, 1, 6, 0, levels, count, 4, &out)
            #expect(out.allSatisfy { Int($0) < count })
        }
    }

    @Test(arguments: [1, 2, 3, 16, 17, 40, 255, 256]) func stochasticLevelsMatchTheDefinition(_ levelCount: Int) {
        let levels = Self.levels(levelCount, seed: UInt64(levelCount))
        let table = Guarded(levels)
        for count in [0, 1, 16, 17, 130, 1_000, 2_500] {
            for (number, block) in KernelFixtures.blocks.enumerated() {
                let first = 3 * number
                let scales = BlockScales(
                    count, block: block, first: first, factor: 0x1p-15, seed: UInt64(count + block))
                let values = KernelFixtures.bellShaped(count, seed: 7)
                let x = Guarded(values)
                let out = Guarded<UInt8>(repeating: 77, count: count)
                pleach_quantize_levels_stochastic(
                    x.base, count, scales.bytes.base, 0x1p-15, block, first, table.base, levelCount, 99, out.base)
                var generator = SeededGenerator(seed: 99)
                for _ in 0..<first { _ = generator.next() }
                let expected = values.indices.map { index in
                    let unit = generator.uniform()
                    let quotient = Self.quotient(values[index], scales[index])
                    guard levelCount > 1 else { return UInt8(0) }
                    let below = levels[1..<levelCount - 1].filter { $0 <= quotient }.count
                    let gap = levels[below + 1] - levels[below]
                    return UInt8(unit * gap < quotient - levels[below] ? below + 1 : below)
                }
                #expect(out.array == expected)
            }
        }
    }

    @Test func stochasticLevelsAreUnbiased() {
        let levels: [Float] = [-1, -0.25, 0, 0.5, 0.75, 2]
        let draws = 4_000
        let scales = BlockScales(halves: [0x3800], block: draws, first: 0, factor: 1)
        for quotient in [-1, -0.9, -0.25, -0.1, 0.2, 0.6, 1.9, 2] as [Float] {
            var out = [UInt8](repeating: 0, count: draws)
            pleach_quantize_levels_stochastic(
                [Float](repeating: quotient / 2, count: draws), draws, scales.bytes.base, 1, draws, 0, levels, 6, 1,
                &out)
            let mean = out.reduce(0.0) { $0 + Double(levels[Int($1)]) } / Double(draws)
            let variance = out.reduce(0.0) { $0 + (Double(levels[Int($1)]) - mean) * (Double(levels[Int($1)]) - mean) }
            #expect(abs(mean - Double(quotient)) <= 5 * variance.squareRoot() / Double(draws) + 1e-6)
        }
        var ends = [UInt8](repeating: 9, count: 3)
        pleach_quantize_levels_stochastic([-7, 7, 1], 3, scales.bytes.base, 1, 3, 0, levels, 6, 1, &ends)
        #expect(ends == [0, 5, 5])
    }

    @Test(arguments: KernelFixtures.counts) func levelsAreLookedUp(_ count: Int) {
        let levels = Guarded(Self.levels(256, seed: 3))
        let codes = Guarded(KernelFixtures.bytes(count, seed: UInt64(count)))
        for (number, block) in KernelFixtures.blocks.enumerated() {
            let first = 3 * number
            let factor = QuantizeTests.factors[number % 5]
            let scales = BlockScales(count, block: block, first: first, factor: factor, seed: UInt64(count + block))
            let out = Guarded<Float>(repeating: .nan, count: count)
            pleach_dequantize_levels(
                codes.base, count, scales.bytes.base, factor, block, first, levels.base, out.base)
            let expected = codes.array.enumerated().map { levels.array[Int($1)] * scales[$0] }
            #expect(out.array.map(\.bitPattern) == expected.map(\.bitPattern))
        }
    }
}
