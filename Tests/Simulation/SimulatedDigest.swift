import Federation
import Tensors

// Content is a 64-bit number here, and a digest is that number spread over 32 bytes: cheap, and one gives the other.

extension Digest {
    /// The name of a content.
    static func simulated(_ content: UInt64) -> Digest {
        var generator = SeededGenerator(seed: content)
        let lanes = (content, generator.next(), generator.next(), generator.next())
        let bytes = withUnsafeBytes(of: lanes) { Array($0) }
        guard let digest = Digest(bytes: bytes) else { preconditionFailure("32 bytes are a digest") }
        return digest
    }

    /// The content that `simulated` named.
    var content: UInt64 {
        bytes.withUnsafeBytes { $0.loadUnaligned(as: UInt64.self) }
    }
}

/// A number that depends on every one of `values` and on their order (SplitMix64's finalizer, chained).
func mixed(_ values: UInt64...) -> UInt64 {
    var hash: UInt64 = 0x9e37_79b9_7f4a_7c15
    for value in values {
        hash = (hash ^ value) &+ 0x9e37_79b9_7f4a_7c15
        hash = (hash ^ (hash >> 30)) &* 0xbf58_476d_1ce4_e5b9
        hash = (hash ^ (hash >> 27)) &* 0x94d0_49bb_1331_11eb
        hash ^= hash >> 31
    }
    return hash
}

extension SeededGenerator {
    mutating func chance(_ probability: Double) -> Bool {
        probability > 0 && Double(next() >> 11) * 0x1p-53 < probability
    }

    mutating func between(_ low: Double, _ high: Double) -> Double {
        low + (high - low) * (Double(next() >> 11) * 0x1p-53)
    }

    /// Between `low` and `high`, every order of magnitude as likely as the next.
    mutating func magnitude(_ low: Double, _ high: Double) -> Double {
        var value = low
        // Doublings instead of exp and log: the same bits on every machine.
        while value < high, chance(0.7) { value *= 2 }
        return min(high, value * between(1, 2))
    }

    mutating func integer(_ range: ClosedRange<Int>) -> Int {
        range.lowerBound + index(below: range.upperBound - range.lowerBound + 1)
    }

    mutating func pick<Element>(_ elements: [Element]) -> Element { elements[index(below: elements.count)] }
}

/// A process's own monotonic clock: it runs fast or slow and begins anywhere.
struct SimulatedClock {
    let bornAt: Double
    let rate: Double
    let start: Double

    init(bornAt: Double, random: inout SeededGenerator) {
        self.bornAt = bornAt
        rate = random.between(0.95, 1.05)
        start = random.between(0, 10_000)
    }

    func local(_ time: Double) -> Double { start + (time - bornAt) * rate }
}
