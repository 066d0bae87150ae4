import CKernels

/// The counts of the blocks scheme.
struct PositionBlocks: Sendable, Equatable {
    static let size = 4096
    static let bitCount = 12

    let domain: Int
    /// Members of each whole block.
    let perBlock: Int

    var wholeBlocks: Int { domain / Self.size }
    /// ⌈perBlock · rest / 4096⌉, so that a last block has its share.
    var inLastBlock: Int { (perBlock * (domain % Self.size) + Self.size - 1) / Self.size }
    var count: Int { wholeBlocks * perBlock + inLastBlock }
    var byteCount: Int { (count * Self.bitCount + 7) / 8 }

    /// Reads numbers first, first + 1, ... of the field at `bytes` as ranks. False unless they rise within their blocks
    /// and stay in the domain. `first` is even.
    func read(_ bytes: UnsafePointer<UInt8>, first: Int, into ranks: UnsafeMutableBufferPointer<UInt32>) -> Bool {
        pleach_unpack_12(bytes, first, ranks.count, ranks.baseAddress)
        var block = perBlock > 0 ? min(first / perBlock, wholeBlocks) : wholeBlocks
        var end = block < wholeBlocks ? (block + 1) * perBlock : count
        // The last place read, where the run begins amid a block.
        var least = first > block * perBlock ? 1 + Self.place(first - 1, in: bytes) : 0
        for index in ranks.indices {
            if first + index == end {
                block += 1
                end = block < wholeBlocks ? end + perBlock : count
                least = 0
            }
            guard ranks[index] >= least else { return false }
            least = ranks[index] + 1
            let rank = block * Self.size + Int(ranks[index])
            guard rank < domain else { return false }
            ranks[index] = UInt32(rank)
        }
        return true
    }

    private static func place(_ number: Int, in bytes: UnsafePointer<UInt8>) -> UInt32 {
        let first = number * bitCount / 8
        let pair = UInt32(bytes[first]) | UInt32(bytes[first + 1]) << 8
        return number % 2 == 0 ? pair & 0xfff : pair >> 4
    }

    /// Whether these ranks, as many as all blocks take, are as many in each.
    func isFilled(by ranks: [UInt32]) -> Bool {
        guard ranks.count == count else { return false }
        // As many before each block's end as there must be, so as many in each.
        return (0..<wholeBlocks).allSatisfy { block in
            let end = (block + 1) * perBlock
            return Int(ranks[end - 1]) < (block + 1) * Self.size
                && (end == ranks.count || Int(ranks[end]) >= (block + 1) * Self.size)
        }
    }

    /// The field for these ranks, which fill the blocks.
    func bytes(_ ranks: [UInt32]) -> [UInt8] {
        let places = ranks.map { $0 % UInt32(Self.size) }
        return [UInt8](unsafeUninitializedCapacity: byteCount) { buffer, filled in
            pleach_pack_12(places, places.count, buffer.baseAddress)
            filled = byteCount
        }
    }
}
