import CKernels
import Testing

struct HalfTests {
    static func bytes(_ words: [UInt16]) -> [UInt8] {
        words.flatMap { [UInt8(truncatingIfNeeded: $0), UInt8($0 >> 8)] }
    }

    @Test func everyHalfConvertsLikeTheHardwareType() {
        let halves = (0...UInt16.max).map { $0 }
        let bytes = Self.bytes(halves)
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
        #expect(out == Self.bytes(inputs.map { Float16($0).bitPattern }))
    }

    @Test(arguments: KernelFixtures.counts) func factorsApply(_ count: Int) {
        let values = KernelFixtures.bellShaped(count, seed: UInt64(count))
        let x = Guarded(values)
        let out = Guarded<UInt8>(repeating: 0, count: 2 * count)
        let back = Guarded<Float>(repeating: 0, count: count)
        pleach_to_half(x.base, count, 0x1p5, out.base)
        let halves = values.map { Float16($0 * 0x1p5) }
        #expect(out.array == Self.bytes(halves.map(\.bitPattern)))
        for factor in [0x1p-5, 0x1p-125, 0x1p112] as [Float] {
            pleach_from_half(out.base, count, factor, back.base)
            #expect(back.array.map(\.bitPattern) == halves.map { (Float($0) * factor).bitPattern })
        }
    }

    @Test(arguments: KernelFixtures.counts) func brainFloatsAreTheUpperHalf(_ count: Int) {
        // Two digits around each tie, both signs, denormals.
        let values = KernelFixtures.values(count, seed: UInt64(count)).enumerated().map { index, value in
            let low = [0x8000, 0x7fff, 0x8001, 0, 0xffff] as [UInt32]
            return index % 2 == 0 ? value : Float(bitPattern: value.bitPattern & 0xffff_0000 | low[index % 5])
        }
        let x = Guarded(values)
        let out = Guarded<UInt8>(repeating: 0, count: 2 * count)
        let back = Guarded<Float>(repeating: .nan, count: count)
        pleach_to_bfloat(x.base, count, out.base)
        let expected = values.map { value -> UInt16 in
            let bits = value.bitPattern
            let rest = bits & 0xffff
            let up = rest > 0x8000 || (rest == 0x8000 && bits >> 16 & 1 == 1)
            return UInt16(bits >> 16) + (up ? 1 : 0)
        }
        #expect(out.array == Self.bytes(expected))
        pleach_from_bfloat(out.base, count, back.base)
        #expect(back.array.map(\.bitPattern) == expected.map { UInt32($0) << 16 })
    }
}
