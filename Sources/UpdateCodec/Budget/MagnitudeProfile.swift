/// What a budget needs to know of one tensor: how its alive elements' magnitudes are distributed.
///
/// All alive elements are counted, not a sample of them: a plan's byte bound relies on how many are not 0.
struct MagnitudeProfile: Sendable, Equatable {
    /// One for each exponent and three bits of the significand of a binary32: a bin is an eighth wide, relatively.
    static let binCount = 2048
    /// Bits of |x| below those that number the bin.
    static let shift = 20
    /// The bin that begins at 2^120, above which values travel as float32 only.
    private static let firstHugeBin = (120 + 127) << 3

    /// All of the layout's tensor, dead ones included.
    let elements: Int
    let alive: Int
    /// counts[bits of |x| >> 20], over the alive. Bin 0 holds the zeros, and magnitudes that are as good as zero.
    let counts: [UInt32]

    /// - Precondition: there are 2,048 counts, whose sum is at most `elements`.
    init(counts: [UInt32], elements: Int) {
        precondition(counts.count == Self.binCount, "\(counts.count) bins of magnitudes")
        self.counts = counts
        self.elements = elements
        alive = counts.reduce(0) { $0 + Int($1) }
        precondition(alive <= elements, "\(alive) magnitudes of \(elements) elements")
    }

    /// At least so many can be selected; there may be denormal ones besides.
    var nonzero: Int { alive - Int(counts[0]) }

    /// Whether some value may be too large for all formats but float32.
    var needsFloat32: Bool { counts[Self.firstHugeBin...].contains { $0 > 0 } }

    /// The smallest magnitude of a bin; 2^128 from the first one on that would be infinite.
    static func lowerEdge(ofBin bin: Int) -> Double {
        bin < 255 << 3 ? Double(Float(bitPattern: UInt32(bin) << UInt32(shift))) : 0x1p128
    }
}
