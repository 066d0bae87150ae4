import Tensors

/// Seeded changes to valid inputs: those that find mistakes in decoders of lengths and counts.
public struct Mutator {
    private var random: SeededGenerator
    private let seeds: [[UInt8]]

    /// Precondition: there is a seed input.
    public init(seeds: [[UInt8]], seed: UInt64) {
        precondition(!seeds.isEmpty, "nothing to mutate")
        self.seeds = seeds
        random = SeededGenerator(seed: seed, labels: "mutator")
    }

    private static let interesting: [UInt64] = [
        0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 1 << 33, UInt64.max >> 1,
        1 << 63, UInt64.max,
    ]

    /// A seed input with one to four changes.
    public mutating func next() -> [UInt8] {
        var bytes = seeds[random.index(below: seeds.count)]
        for _ in 0...random.index(below: 4) { change(&bytes) }
        return Array(bytes.prefix(FuzzTarget.inputBytes))
    }

    private mutating func change(_ bytes: inout [UInt8]) {
        let place = random.index(below: bytes.count + 1)
        let rest = bytes.count - place
        switch random.index(below: 9) {
        case 0 where rest > 0: bytes[place] ^= 1 << UInt8(random.index(below: 8))
        case 1 where rest > 0: bytes[place] = UInt8(truncatingIfNeeded: random.next())
        case 2: bytes.removeSubrange(place...)
        case 3:
            bytes.insert(
                contentsOf: (0...random.index(below: 16)).map { _ in UInt8(random.index(below: 256)) }, at: place)
        case 4 where rest > 0: bytes.removeSubrange(place..<place + 1 + random.index(below: min(rest, 16)))
        case 5:
            // The head of one valid input and the tail of another.
            let other = seeds[random.index(below: seeds.count)]
            bytes.replaceSubrange(place..., with: other.suffix(random.index(below: other.count + 1)))
        case 6:
            // A length or a count of fixed width.
            let width = [1, 2, 4, 8][random.index(below: 4)]
            let number = Self.interesting[random.index(below: Self.interesting.count)]
            for index in 0..<min(width, rest) {
                bytes[place + index] = UInt8(truncatingIfNeeded: number >> (8 * index))
            }
        case 7:
            // A length or a count of variable width, in place of the one that stands there.
            var end = place
            while end < bytes.count, bytes[end] & 0x80 != 0, end - place < 9 { end += 1 }
            let number = Self.interesting[random.index(below: Self.interesting.count)]
            bytes.replaceSubrange(place..<min(end + 1, bytes.count), with: Self.varint(number))
        default:
            guard rest > 0 else { return }
            let count = 1 + random.index(below: min(rest, 64))
            bytes.insert(contentsOf: bytes[place..<place + count], at: place)
        }
    }

    private static func varint(_ number: UInt64) -> [UInt8] {
        var (bytes, rest) = ([UInt8](), number)
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        return bytes + [UInt8(rest)]
    }
}
