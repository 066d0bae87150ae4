import Tensors
import Testing

@testable import UpdateCodec

struct SubsetTests {
    @Test(arguments: [0, 1, 7, 8, 63, 64, 65, 200, 1_000]) func onesAreFoundAndCounted(_ count: Int) {
        for density in [0, 0.03, 0.5, 1] as [Float] {
            let bitmap = Fixtures.bitmap(count, density: density, seed: UInt64(count))
            let expected = (0..<count).filter { bitmap[$0] }.map { UInt32($0) }
            #expect(CodedSubset.members(of: bitmap.bytes, domain: count) == expected)
            #expect(CodedSubset.bitmap(expected, domain: count) == bitmap.bytes)
            let complement = CodedSubset.complement(of: expected, domain: count)
            #expect(complement == (0..<count).filter { !bitmap[$0] }.map { UInt32($0) })
        }
    }
}
