/// SplitMix64 (Steele, Lea, Flood 2014): small, fast, and the same on every machine. The only source of randomness.
public struct SeededGenerator: RandomNumberGenerator, Sendable, Equatable {
    private var state: UInt64

    public init(seed: UInt64) { state = seed }

    /// A generator for one purpose: `labels` (for instance a round and a worker's name) are hashed into the seed, so
    /// streams of different purposes do not overlap in practice.
    public init(seed: UInt64, labels: String...) {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325 ^ seed
        for label in labels {
            // FNV-1a with a separator that cannot occur in UTF-8.
            for byte in label.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
            hash = (hash ^ 0xff) &* 0x100_0000_01b3
        }
        state = hash
        _ = next()
    }

    public mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }

    /// Uniform in [0, 1) with 24 random bits.
    public mutating func uniform() -> Float { Float(next() >> 40) * 0x1p-24 }

    /// Uniform in 0..<bound, without modulo bias.
    public mutating func index(below bound: Int) -> Int { Int.random(in: 0..<bound, using: &self) }
}
