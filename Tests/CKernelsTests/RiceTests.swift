import CKernels
import Tensors
import Testing

struct RiceTests {
    /// A segment, bit for bit from the definition.
    struct Segment {
        var remainders: [UInt8]
        var quotients: [UInt8]

        init(_ numbers: [UInt32], _ k: Int) {
            remainders = KernelFixtures.field(numbers.map { UInt64($0) }, bits: k)
            var bits: [UInt8] = []
            for number in numbers { bits += [UInt8](repeating: 0, count: Int(number >> UInt32(k))) + [1] }
            quotients = KernelFixtures.field(bits.map { UInt64($0) }, bits: 1)
        }
    }

    static func decode(_ segment: Segment, _ k: Int, limit: UInt32, count: Int) -> [UInt32]? {
        let remainders = Guarded(segment.remainders)
        let quotients = Guarded(segment.quotients)
        let out = Guarded<UInt32>(repeating: 0xdead, count: count)
        let good = pleach_rice_decode(
            remainders.base, quotients.base, quotients.count, UInt32(k), limit, out.base, count)
        return good ? out.array : nil
    }

    static func decodeBytes(_ segment: Segment, _ k: Int, limit: UInt32, count: Int) -> [UInt32]? {
        let remainders = Guarded(segment.remainders)
        let quotients = Guarded(segment.quotients)
        let out = Guarded<UInt8>(repeating: 0xda, count: count)
        let good = pleach_rice_decode_bytes(
            remainders.base, quotients.base, quotients.count, UInt32(k), limit, out.base, count)
        return good ? out.array.map { UInt32($0) } : nil
    }

    static func encode(_ numbers: [UInt32], _ k: Int, _ expected: Segment, bytes: Bool) -> [UInt8] {
        let size = expected.remainders.count + expected.quotients.count
        let out = Guarded<UInt8>(repeating: 0xaa, count: size + 64)
        let length: Int
        if bytes {
            let source = Guarded(numbers.map { UInt8($0) })
            length = pleach_rice_encode_bytes(source.base, numbers.count, UInt32(k), out.base)
        } else {
            let source = Guarded(numbers)
            length = pleach_rice_encode(source.base, numbers.count, UInt32(k), out.base)
        }
        #expect(length == expected.quotients.count)
        return Array(out.array[..<size])
    }

    /// Mostly small, sometimes with hundreds of zeros in a row.
    static func numbers(_ count: Int, _ k: Int, spread: Int, rare: Int, limit: Int, seed: UInt64) -> [UInt32] {
        var generator = SeededGenerator(seed: seed)
        return (0..<count).map { _ in
            let bound = generator.index(below: 30) == 0 ? rare << k : spread << k
            return UInt32(min(generator.index(below: max(bound, 1)), limit))
        }
    }

    @Test(arguments: 0...30) func numbersRoundTrip(_ k: Int) {
        for count in KernelFixtures.counts where count > 0 && count <= 4_096 {
            for (spread, rare) in [(1, 1), (2, 40), (6, 700), (40, 40)] {
                let numbers = Self.numbers(
                    count, k, spread: spread, rare: rare, limit: 0x7fff_ffff, seed: UInt64(count + k))
                let segment = Segment(numbers, k)
                #expect(Self.encode(numbers, k, segment, bytes: false) == segment.remainders + segment.quotients)
                let largest = numbers.max() ?? 0
                #expect(Self.decode(segment, k, limit: largest, count: count) == numbers)
                #expect(Self.decode(segment, k, limit: 0x7fff_ffff, count: count) == numbers)
                if largest > 0 { #expect(Self.decode(segment, k, limit: largest - 1, count: count) == nil) }
                #expect(
                    pleach_sum_shifted(numbers, count, UInt32(k)) == numbers.reduce(0) { $0 + UInt64($1 >> UInt32(k)) })
            }
        }
    }

    @Test(arguments: 0...7) func byteNumbersRoundTrip(_ k: Int) {
        for count in KernelFixtures.counts where count > 0 && count <= 4_096 {
            for (spread, rare) in [(1, 1), (2, 5), (3, 256), (256, 256)] {
                let numbers = Self.numbers(count, k, spread: spread, rare: rare, limit: 255, seed: UInt64(count + k))
                let segment = Segment(numbers, k)
                #expect(Self.encode(numbers, k, segment, bytes: true) == segment.remainders + segment.quotients)
                let largest = numbers.max() ?? 0
                #expect(Self.decodeBytes(segment, k, limit: largest, count: count) == numbers)
                #expect(Self.decodeBytes(segment, k, limit: 255, count: count) == numbers)
                if largest > 0 { #expect(Self.decodeBytes(segment, k, limit: largest - 1, count: count) == nil) }
            }
        }
    }

    @Test func fullSegmentsRoundTrip() {
        for k in 0...7 {
            for spread in [1, 2, 3, 4, 16] {
                let numbers = Self.numbers(4_096, k, spread: spread, rare: 300, limit: 255, seed: UInt64(spread + k))
                let segment = Segment(numbers, k)
                #expect(Self.encode(numbers, k, segment, bytes: true) == segment.remainders + segment.quotients)
                #expect(Self.encode(numbers, k, segment, bytes: false) == segment.remainders + segment.quotients)
                #expect(Self.decodeBytes(segment, k, limit: 255, count: 4_096) == numbers)
                #expect(Self.decode(segment, k, limit: 255, count: 4_096) == numbers)
            }
        }
    }

    @Test(arguments: [0, 1, 3, 5, 7]) func damageIsRefusedOrHarmless(_ k: Int) {
        var generator = SeededGenerator(seed: UInt64(k))
        for count in [1, 5, 8, 13, 64, 200, 700] {
            let numbers = Self.numbers(count, k, spread: 3, rare: 20, limit: 255, seed: UInt64(count))
            let whole = Segment(numbers, k)
            // Cut short or grown.
            for length in 0..<whole.quotients.count {
                var cut = whole
                cut.quotients = Array(whole.quotients[..<length])
                #expect(Self.decode(cut, k, limit: 255, count: count) == nil)
                #expect(Self.decodeBytes(cut, k, limit: 255, count: count) == nil)
            }
            for tail in [[0], [1], [0, 0, 0, 0, 0, 0, 0, 0, 0], [UInt8](repeating: 0xff, count: 70)] as [[UInt8]] {
                var grown = whole
                grown.quotients += tail
                #expect(Self.decode(grown, k, limit: 255, count: count) == nil)
                #expect(Self.decodeBytes(grown, k, limit: 255, count: count) == nil)
            }
            if count * k % 8 != 0 {
                var spare = whole
                spare.remainders[spare.remainders.count - 1] |= 0x80
                #expect(Self.decode(spare, k, limit: 255, count: count) == nil)
                #expect(Self.decodeBytes(spare, k, limit: 255, count: count) == nil)
            }
            for _ in 0..<200 {
                var flipped = whole
                for _ in 0...generator.index(below: 4) {
                    let bit = generator.index(below: (whole.remainders.count + whole.quotients.count) * 8)
                    if bit / 8 < whole.remainders.count {
                        flipped.remainders[bit / 8] ^= 1 << UInt8(bit % 8)
                    } else {
                        flipped.quotients[bit / 8 - whole.remainders.count] ^= 1 << UInt8(bit % 8)
                    }
                }
                // What is accepted must be what the definition writes for these numbers.
                for limit in [40, 255] as [UInt32] {
                    let read = Self.decode(flipped, k, limit: limit, count: count)
                    #expect(Self.decodeBytes(flipped, k, limit: limit, count: count) == read)
                    guard let read else { continue }
                    #expect(read.allSatisfy { $0 <= limit })
                    let again = Segment(read, k)
                    #expect(again.quotients == flipped.quotients && again.remainders == flipped.remainders)
                }
            }
        }
    }

    @Test func endlessBitsAreRefused() {
        for byte in [0, 0xff] as [UInt8] {
            for k in [0, 1, 7, 30] {
                var segment = Segment([], 0)
                segment.quotients = [UInt8](repeating: byte, count: 3_000)
                segment.remainders = [UInt8](repeating: byte, count: (k + 7) / 8)
                #expect(Self.decode(segment, k, limit: 0x7fff_ffff, count: 1) == nil)
                if k <= 7 { #expect(Self.decodeBytes(segment, k, limit: 255, count: 1) == nil) }
            }
        }
        // A quotient too large for its k must not wrap around when it is shifted.
        for k in [8, 20, 30] {
            var segment = Segment([], 0)
            segment.quotients = [UInt8](repeating: 0, count: 1 << (33 - k) / 8 + 1) + [1]
            segment.remainders = [UInt8](repeating: 0, count: (k + 7) / 8)
            let number = (segment.quotients.count - 1) * 8
            let fits = number << k <= 0x7fff_ffff
            #expect((Self.decode(segment, k, limit: 0x7fff_ffff, count: 1) != nil) == fits)
        }
    }

    @Test func wrappingQuotientsAreRefusedAsBytes() {
        for zeros in [255, 256, 257, 512, 2_048, 65_536, 65_537] {
            for k in [0, 1, 7] {
                let quotients = KernelFixtures.field([UInt64](repeating: 0, count: zeros) + [1], bits: 1)
                for filler in [0, 7, 9] {
                    var segment = Segment([], 0)
                    segment.quotients = [UInt8](repeating: 0xff, count: filler) + quotients
                    let count = 8 * filler + 1
                    segment.remainders = [UInt8](repeating: 0, count: (count * k + 7) / 8)
                    let fits = zeros << k <= 255
                    #expect((Self.decodeBytes(segment, k, limit: 255, count: count) != nil) == fits)
                }
            }
        }
    }
}
