/// Chunks sent to one peer of which it is not yet known that the peer has taken them, in the order of sending.
///
/// A connection keeps its order, so what shows that one chunk was taken shows it of all before it: also of those whose
/// transfer has ended, whose grants nobody sends any more.
struct UnconfirmedChunks {
    private struct Chunk {
        let digest: [UInt8]
        let attempt: UInt32
        /// Counted from 1 in its attempt.
        let number: UInt32
    }

    private var chunks: [Chunk] = []

    var count: Int { chunks.count }

    mutating func append(_ digest: [UInt8], attempt: UInt32, number: UInt32) {
        chunks.append(Chunk(digest: digest, attempt: attempt, number: number))
    }

    /// The peer has taken the first `taken` chunks of an attempt; returns how many of ours that confirms.
    mutating func confirm(_ digest: [UInt8], attempt: UInt32, taken: UInt32) -> Int {
        let last = chunks.lastIndex { $0.attempt == attempt && $0.number <= taken && $0.digest == digest }
        guard let last else { return 0 }
        chunks.removeFirst(last + 1)
        return last + 1
    }
}
