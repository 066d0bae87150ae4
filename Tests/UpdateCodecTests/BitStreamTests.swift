import CKernels
import Tensors
import Testing

@testable import UpdateCodec

struct BitStreamTests {
    /// A string of '0' and '1' per code, straight from the definition.
    private func reference(_ numbers: [UInt32], _ k: Int) -> [UInt8] {
        var bits: [UInt8] = []
        for number in numbers {
            bits += [UInt8](repeating: 1, count: Int(number >> UInt32(k))) + [0]
            bits += (0..<k).map { UInt8(number >> UInt32($0) & 1) }
        }
        return stride(from: 0, to: bits.count, by: 8).map { start in
            bits[start..<min(start + 8, bits.count)].enumerated().reduce(0) { $0 | $1.element << UInt8($1.offset) }
        }
    }

    @Test(arguments: 0...12) func riceMatchesItsDefinition(_ k: Int) throws {
        var generator = SeededGenerator(seed: UInt64(k))
        for count in [0, 1, 2, 17, 300] {
            let numbers = (0..<count).map { _ in
                // Mostly small, sometimes with hundreds of ones in a row.
                generator.index(below: 20) == 0
                    ? UInt32(generator.index(below: 700 << k)) : UInt32(generator.index(below: 3 << k))
            }
            var bytes = [UInt8](repeating: 0, count: reference(numbers, k).count + 8)
            let used = pleach_rice_encode(numbers, count, UInt32(k), &bytes)
            #expect(Array(bytes[..<used]) == reference(numbers, k))
            var out = [UInt32](repeating: 0, count: count)
            var cursor: UInt64 = 0
            #expect(pleach_rice_decode(bytes, used, &cursor, UInt32(k), 700 << UInt32(k), &out, count))
            #expect(out == numbers)
            #expect(Int(cursor + 7) / 8 == used)
            guard let largest = numbers.max(), largest > 0 else { continue }
            cursor = 0
            #expect(!pleach_rice_decode(bytes, used, &cursor, UInt32(k), largest - 1, &out, count))
            cursor = 0
            #expect(!pleach_rice_decode(bytes, used - 1, &cursor, UInt32(k), 700 << UInt32(k), &out, count))
        }
    }

    @Test func riceRefusesEndlessOnes() {
        let ones = [UInt8](repeating: 0xff, count: 1_000)
        var out: [UInt32] = [0]
        for k in [0, 1, 9, 30] as [UInt32] {
            var cursor: UInt64 = 0
            #expect(!pleach_rice_decode(ones, ones.count, &cursor, k, UInt32(Int32.max), &out, 1))
        }
    }

    @Test func bestParameterIsBest() {
        var generator = SeededGenerator(seed: 3)
        for bound in [1, 2, 5, 40, 1_000, 1 << 20] {
            let numbers = (0..<500).map { _ in UInt32(min(generator.index(below: bound), generator.index(below: bound)))
            }
            numbers.withUnsafeBufferPointer { buffer in
                let code = RiceCode(best: buffer, largestParameter: RiceCode.largestGapParameter)
                let costs = (0...30).map { k in numbers.reduce(0) { $0 + 1 + k + Int($1 >> UInt32(k)) } }
                #expect(code.bitCount == costs.min())
                #expect(costs[code.parameter] == code.bitCount)
            }
        }
    }

    @Test func countingCodesFindsTheSameParameterAsFoldingThem() {
        var generator = SeededGenerator(seed: 5)
        for bound in [1, 2, 8, 40, 127] {
            let codes = (0..<700).map { _ in
                Int8((generator.index(below: 2 * bound + 1) + generator.index(below: 2 * bound + 1)) / 2 - bound)
            }
            let folded = codes.map { UInt32($0 >= 0 ? 2 * Int($0) : -2 * Int($0) - 1) }
            let counted = RiceCode(bestForCodes: codes)
            folded.withUnsafeBufferPointer {
                let best = RiceCode(best: $0, largestParameter: RiceCode.largestValueParameter)
                #expect(counted.parameter == best.parameter && counted.bitCount == best.bitCount)
            }
        }
        #expect(RiceCode(bestForCodes: []).bitCount == 0)
    }

    @Test(arguments: [0, 1, 7, 8, 63, 64, 65, 200, 1_000]) func onesAreFoundAndCounted(_ count: Int) {
        for density in [0, 0.03, 0.5, 1] as [Float] {
            let bitmap = Fixtures.bitmap(count, density: density, seed: UInt64(count))
            let expected = (0..<count).filter { bitmap[$0] }.map { UInt32($0) }
            #expect(CodedSubset.members(of: bitmap.bytes, domain: count) == expected)
            #expect(pleach_count_ones(bitmap.bytes, bitmap.bytes.count) == expected.count)
            #expect(CodedSubset.bitmap(expected, domain: count) == bitmap.bytes)
            let complement = CodedSubset.complement(of: expected, domain: count)
            #expect(complement == (0..<count).filter { !bitmap[$0] }.map { UInt32($0) })
            for step in [1, 3, 64] {
                var cursor = 0
                var found: [UInt32] = []
                var part = [UInt32](repeating: 0, count: step)
                while case let number = pleach_next_ones(bitmap.bytes, count, &cursor, &part, step), number > 0 {
                    found += part[..<number]
                }
                #expect(found == expected)
                var byte = 0
                var rank = 0
                for start in stride(from: 0, to: expected.count, by: step) {
                    let range = start..<min(start + step, expected.count)
                    var ranks = range.map { UInt32($0) }
                    #expect(pleach_select_ones(bitmap.bytes, bitmap.bytes.count, &byte, &rank, &ranks, range.count))
                    #expect(ranks == Array(expected[range]))
                }
                var beyond = [UInt32(expected.count)]
                #expect(!pleach_select_ones(bitmap.bytes, bitmap.bytes.count, &byte, &rank, &beyond, 1))
            }
            let values = Fixtures.bellShaped(count, seed: 1)
            var gathered = [Float](repeating: 0, count: expected.count)
            #expect(pleach_gather_ones(values, bitmap.bytes, count, &gathered) == expected.count)
            #expect(gathered == expected.map { values[Int($0)] })
        }
    }

    @Test func selectionIsExactWithTiesToTheLowerIndex() {
        for (count, levels) in [(1, 3), (10, 2), (100, 5), (1_000, 1_000_000), (3_000, 40)] {
            var generator = SeededGenerator(seed: UInt64(count))
            let values = (0..<count).map { _ in
                Float(generator.index(below: 2 * levels) - levels) * (generator.index(below: 9) == 0 ? 0x1p-139 : 0.37)
            }
            let ranked = values.indices.sorted { (a: Int, b: Int) in
                (-values[a].magnitude, a) < (-values[b].magnitude, b)
            }.filter { values[$0] != 0 }
            for wanted in [1, 2, count / 10 + 1, count / 2 + 1, count] {
                let chosen = values.withUnsafeBufferPointer { MagnitudeSelection.largest(wanted, of: $0) }
                #expect(chosen == ranked.prefix(wanted).sorted().map { UInt32($0) })
            }
        }
    }
}
