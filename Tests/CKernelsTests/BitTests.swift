import CKernels
import Tensors
import Testing

struct BitTests {
    static let counts = [0, 1, 7, 8, 9, 63, 64, 65, 127, 129, 200, 511, 512, 513, 1_000, 5_000]

    @Test(arguments: counts) func onesAreFoundAndCounted(_ count: Int) {
        for density in [0, 0.03, 0.5, 1] as [Float] {
            var generator = SeededGenerator(seed: UInt64(count))
            let bits = (0..<count).map { _ in generator.uniform() < density }
            let bytes = Guarded(KernelFixtures.field(bits.map { $0 ? 1 : 0 }, bits: 1))
            let expected = (0..<count).filter { bits[$0] }.map { UInt32($0) }
            #expect(pleach_count_ones(bytes.base, bytes.count) == expected.count)
            for step in [1, 3, 64, 1_000] {
                var cursor = 0
                var found: [UInt32] = []
                let part = Guarded<UInt32>(repeating: 0, count: step)
                while case let number = pleach_next_ones(bytes.base, count, &cursor, part.base, step), number > 0 {
                    found += part.array[..<number]
                }
                #expect(found == expected)
                var byte = 0
                var rank = 0
                for start in stride(from: 0, to: expected.count, by: step) {
                    let range = start..<min(start + step, expected.count)
                    let ranks = Guarded(range.map { UInt32($0) })
                    #expect(pleach_select_ones(bytes.base, bytes.count, &byte, &rank, ranks.base, range.count))
                    #expect(ranks.array == Array(expected[range]))
                }
                var beyond = [UInt32(expected.count)]
                #expect(!pleach_select_ones(bytes.base, bytes.count, &byte, &rank, &beyond, 1))
            }
            let values = Guarded(KernelFixtures.bellShaped(count, seed: 1))
            let gathered = Guarded<Float>(repeating: 0, count: expected.count)
            #expect(pleach_gather_ones(values.base, bytes.base, count, gathered.base) == expected.count)
            #expect(gathered.array == expected.map { values.array[Int($0)] })
        }
    }

    @Test func bitsBehindTheLastAreIgnored() {
        for count in [1, 5, 8, 13, 62, 70, 127] {
            let bytes = Guarded([UInt8](repeating: 0xff, count: (count + 7) / 8))
            for step in [1, 8, 100, 200] {
                var cursor = 0
                var found: [UInt32] = []
                let part = Guarded<UInt32>(repeating: 0, count: step)
                while case let number = pleach_next_ones(bytes.base, count, &cursor, part.base, step), number > 0 {
                    found += part.array[..<number]
                }
                #expect(found == (0..<count).map { UInt32($0) } && cursor == count)
            }
        }
    }

    @Test func sparseRanksAreSelected() {
        let bytes = Guarded(KernelFixtures.bytes(5_000, seed: 4))
        let ones = (0..<40_000).filter { bytes.array[$0 / 8] >> UInt8($0 % 8) & 1 == 1 }
        for stride in [1, 2, 37, 500, 3_000] {
            let wanted = Swift.stride(from: stride - 1, to: ones.count, by: stride).map { UInt32($0) }
            let ranks = Guarded(wanted)
            var byte = 0
            var rank = 0
            #expect(pleach_select_ones(bytes.base, bytes.count, &byte, &rank, ranks.base, ranks.count))
            #expect(ranks.array == wanted.map { UInt32(ones[Int($0)]) })
        }
    }

    @Test(arguments: KernelFixtures.counts) func numbersOf12Bits(_ count: Int) {
        var generator = SeededGenerator(seed: UInt64(count))
        let numbers = (0..<count).map { _ in UInt32(generator.index(below: 4_096)) }
        let source = Guarded(numbers)
        let packed = Guarded<UInt8>(repeating: 0xff, count: (count * 12 + 7) / 8)
        pleach_pack_12(source.base, count, packed.base)
        #expect(packed.array == KernelFixtures.field(numbers.map { UInt64($0) }, bits: 12))
        for first in [0, 2, 4, 30, 64] where first <= count {
            let out = Guarded<UInt32>(repeating: 9, count: count - first)
            pleach_unpack_12(packed.base, first, count - first, out.base)
            #expect(out.array == Array(numbers[first...]))
        }
    }
}
