import Tensors
import Testing

@testable import UpdateCodec

/// No positions, however they lie, take more than the bound says.
@Suite struct BudgetBoundTests {
    @Test(arguments: [2, 9, 100, 4096, 4097, 20_000, 150_000])
    func positionsKeepTheirBound(alive: Int) {
        var generator = SeededGenerator(seed: UInt64(alive))
        let bound = RecordBound(index: 200, elements: alive + 5, alive: alive, scheme: WireScheme())
        for kept in Set([1, 2, alive / 100, alive / 9, alive / 2, alive * 4 / 5, alive - 1])
        where kept > 0 && kept < alive {
            let few = min(kept, alive - kept)
            let spread = stride(from: 0, to: few, by: 1).map { $0 * alive / few }
            let clustered = Array(0..<few - 1) + [alive - 1]
            let random = Array(Array(0..<alive).shuffled(using: &generator)[..<few].sorted())
            for ranks in [spread, clustered, Array(alive - few..<alive), random] {
                let positions = min((alive + 7) / 8, streamByteCount(ranks))
                // Head: index, elements, dead, form, format, kept.
                let head = 2 + varintByteCount(alive + 5) + 1 + 2 + varintByteCount(kept)
                // Values: exponent, block size, scales, codes.
                let values = 1 + 2 + 2 * ((kept + 255) / 256) + (3 * kept + 7) / 8
                #expect(head + positions + values <= bound.bytes(.largest(kept: kept, .int3)), "\(kept) of \(alive)")
            }
        }
    }

    @Test func denseIsAsSmallAsItsFields() {
        let bound = RecordBound(index: 0, elements: 1000, alive: 1000, scheme: WireScheme(rotates: true))
        // Head 1 + 2 + 1 + 2, count 2 and a byte of rounding; seed, exponent, block size, scales, codes.
        #expect(bound.bytes(.dense(.int4)) == 9 + 8 + 1 + 2 + 2 * 4 + 500)
        #expect(bound.bytes(.dense(.int8)) == 9 + 1 + 2 + 2 * 4 + 1000)
        #expect(bound.bytes(.dense(.float32)) == 9 + 4000)
        #expect(bound.bytes(.nothing) == 0)
    }

    @Test func plainCodingHasBitmapsOnly() {
        let plain = RecordBound(index: 0, elements: 8000, alive: 8000, scheme: WireScheme(coding: .plain))
        let rice = RecordBound(index: 0, elements: 8000, alive: 8000, scheme: WireScheme())
        #expect(plain.bytes(.largest(kept: 8, .float16)) == 6 + 1 + 1000 + 1 + 16)
        #expect(rice.bytes(.largest(kept: 8, .float16)) < 45)
    }

    /// A Rice stream with each segment's best parameter.
    private func streamByteCount(_ ranks: [Int]) -> Int {
        let gaps = ranks.indices.map { $0 == 0 ? ranks[0] : ranks[$0] - ranks[$0 - 1] - 1 }
        return stride(from: 0, to: gaps.count, by: 4096).reduce(0) { total, start in
            let part = gaps[start..<min(start + 4096, gaps.count)]
            let sizes = (0...30).map { k in
                let length = (part.reduce(0) { $0 + $1 >> k } + part.count + 7) / 8
                return 1 + varintByteCount(length) + (part.count * k + 7) / 8 + length
            }
            return total + (sizes.min() ?? 0)
        }
    }
}
