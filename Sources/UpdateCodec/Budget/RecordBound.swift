/// Bytes that a record never exceeds, whatever values and positions it holds.
///
/// Relies on what the encoder does: it sends exactly the count a plan says, writes positions as the smallest of bitmap,
/// gaps and gaps of left-out, each segment of a stream with its best parameter, and Rice-codes values only where
/// that is smaller.
struct RecordBound: Sendable, Equatable {
    private static let segmentLength = 4096
    private static let largestParameter = 30

    let alive: Int
    private let headByteCount: Int
    private let blockSize: Int
    private let takesRice: Bool
    private let rotates: Bool

    init(index: Int, elements: Int, alive: Int, scheme: WireScheme) {
        self.alive = alive
        blockSize = max(1, scheme.blockSize)
        takesRice = scheme.coding != .plain
        rotates = scheme.rotates
        // The index counts from the record before, so it is greatest where there is none. Two more: form and format.
        headByteCount = varintByteCount(index) + varintByteCount(elements) + varintByteCount(elements - alive) + 2
    }

    func bytes(_ choice: TensorPlan.Choice) -> Int {
        switch choice {
        case .nothing: 0
        // Where most values are 0, the encoder may trade them for a bitmap and a count. That saves a bit at least, but
        // there are two fields to round up then.
        case .dense(let format): headByteCount + varintByteCount(alive) + 1 + values(alive, format)
        case .largest(let kept, let format):
            headByteCount + varintByteCount(kept) + positions(kept) + values(kept, format)
        }
    }

    private func values(_ count: Int, _ format: ValueFormat) -> Int {
        var bytes = format.plainByteCount(count)
        if format.hasExponent { bytes += 1 }
        if format.hasScales { bytes += varintByteCount(blockSize) + 2 * ((count + blockSize - 1) / blockSize) }
        if rotates && format.takesRotation { bytes += 8 }
        return bytes
    }

    private func positions(_ kept: Int) -> Int {
        let bitmap = (alive + 7) / 8
        guard takesRice else { return bitmap }
        // Gaps of the larger part are never smaller than a bitmap, so it does not matter that nobody tries them.
        let fewer = min(kept, alive - kept)
        var least = bitmap
        for parameter in 0...Self.largestParameter {
            // The first part alone grows with the parameter.
            if fewer * parameter / 8 >= least { break }
            least = min(least, stream(of: fewer, sum: alive - fewer, parameter: parameter))
        }
        return least
    }

    /// Bound of a Rice stream of `count` numbers that sum to at most `sum`, with one parameter for all. The encoder's
    /// parameters are the best of each segment, so no segment of its takes more.
    private func stream(of count: Int, sum: Int, parameter: Int) -> Int {
        let segments = (count + Self.segmentLength - 1) / Self.segmentLength
        // Σ⌊v / 2^k⌋ <= ⌊Σv / 2^k⌋.
        let bits = count * (parameter + 1) + sum >> parameter
        // Remainders of 4,096 numbers fill whole bytes; only the last segment has two fields to round up.
        let fields = (bits + 7 * (segments + 1)) / 8
        // Two bytes say lengths below 2^14, and fewer than fields / 2^14 lengths are greater; so on for each byte more.
        let lengths = 2 * segments + fields >> 14 + fields >> 21 + fields >> 28
        return segments + lengths + fields
    }
}
