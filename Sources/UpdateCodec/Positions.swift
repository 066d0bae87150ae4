import CKernels
import Tensors

/// Which alive elements a record's values belong to. Raw values are on the wire; never renumber them.
enum PositionScheme: UInt8, Sendable, CaseIterable {
    /// All of them: positions cost nothing.
    case dense = 0
    case bitmap = 1
    /// Rice-coded gaps between those that are sent.
    case gaps = 2
    /// Rice-coded gaps between those that are left out: cheaper when more than half are sent.
    case gapsBetweenLeftOut = 3
    /// As many out of each block of 4,096, 12 bits each.
    case blocks = 4

    var name: String {
        switch self {
        case .dense: "dense"
        case .bitmap: "bitmap"
        case .gaps: "gaps"
        case .gapsBetweenLeftOut: "gaps-of-left-out"
        case .blocks: "blocks"
        }
    }
}

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

/// A subset of 0..<domain, coded the cheapest way: bitmap, or gaps of its members or of the others.
struct CodedSubset {
    let scheme: PositionScheme
    let bytes: [UInt8]

    /// - Parameters:
    ///   - members: ascending, below `domain`; neither none nor all.
    ///   - takesRice: whether gaps may be coded; otherwise it is a bitmap.
    init(_ members: [UInt32], domain: Int, takesRice: Bool = true, force: WorkForce = .alone) {
        let fewMembers = members.count <= domain - members.count
        let bitmapByteCount = (domain + 7) / 8
        if takesRice, Self.riceMayPay(members, codesMembers: fewMembers, bitmapByteCount: bitmapByteCount) {
            let gaps = Self.gaps(fewMembers ? members : Self.complement(of: members, domain: domain))
            let stream = gaps.withUnsafeBufferPointer {
                RiceCode.encode($0, largestParameter: RiceCode.largestGapParameter, force: force)
            }
            if stream.count < bitmapByteCount {
                (scheme, bytes) = (fewMembers ? .gaps : .gapsBetweenLeftOut, stream)
                return
            }
        }
        (scheme, bytes) = (.bitmap, Self.bitmap(members, domain: domain))
    }

    /// Whether gaps may be shorter than a bitmap: a look at 64 segments of many, which is all that a subset near one half
    /// needs.
    private static func riceMayPay(_ members: [UInt32], codesMembers: Bool, bitmapByteCount: Int) -> Bool {
        let segment = RiceCode.segmentLength
        guard members.count > 64 * segment else { return true }
        var coded = 0
        var byteCount = 0
        for start in stride(from: 0, to: members.count - segment, by: members.count / 64) {
            let window = members[start..<start + segment]
            let origin = members[start]
            let inside = window.map { $0 - origin }
            let width = Int(members[start + segment - 1] - origin) + 1
            let gaps = gaps(codesMembers ? inside : complement(of: inside, domain: width))
            guard !gaps.isEmpty else { continue }
            coded += gaps.count
            byteCount += gaps.withUnsafeBufferPointer {
                RiceCode.encode($0, largestParameter: RiceCode.largestGapParameter, force: .alone).count
            }
        }
        guard coded > 0 else { return true }
        let count = codesMembers ? members.count : bitmapByteCount * 8 - members.count
        // A sample may be wrong by a little.
        return Double(byteCount) / Double(coded) * Double(count) < 1.05 * Double(bitmapByteCount)
    }

    static func bitmap(_ members: [UInt32], domain: Int) -> [UInt8] {
        var bits = [UInt8](repeating: 0, count: (domain + 7) / 8)
        bits.withUnsafeMutableBufferPointer { bits in
            for member in members { bits[Int(member >> 3)] |= 1 << UInt8(member & 7) }
        }
        return bits
    }

    /// The 1 bits of a bitmap, ascending.
    static func members(of bits: [UInt8], domain: Int) -> [UInt32] {
        let total = bits.withUnsafeBufferPointer { pleach_count_ones($0.baseAddress, $0.count) }
        return [UInt32](unsafeUninitializedCapacity: total) { buffer, filled in
            var cursor = 0
            filled = bits.withUnsafeBufferPointer {
                pleach_next_ones($0.baseAddress, domain, &cursor, buffer.baseAddress, total)
            }
        }
    }

    static func complement(of members: [UInt32], domain: Int) -> [UInt32] {
        [UInt32](unsafeUninitializedCapacity: domain - members.count) { buffer, filled in
            var next: UInt32 = 0
            for member in members {
                while next < member {
                    buffer[filled] = next
                    filled += 1
                    next += 1
                }
                next += 1
            }
            while next < UInt32(domain) {
                buffer[filled] = next
                filled += 1
                next += 1
            }
        }
    }

    /// How many lie between each member and the one before it.
    private static func gaps(_ members: [UInt32]) -> [UInt32] {
        [UInt32](unsafeUninitializedCapacity: members.count) { buffer, filled in
            var next: UInt32 = 0
            for member in members {
                buffer[filled] = member - next
                filled += 1
                next = member + 1
            }
        }
    }
}

/// Members of a subset coming out of a stream of gaps, a segment at a time.
struct GapReader {
    var cursor: RiceCursor
    /// Where the next gap begins.
    var next = 0
    let domain: Int

    init(_ stream: RiceStream, domain: Int) {
        cursor = stream.cursor()
        self.domain = domain
    }

    /// Writes the next segment's `count` members, ascending and below `domain`.
    mutating func read(
        _ body: UnsafePointer<UInt8>, into out: UnsafeMutablePointer<UInt32>, count: Int
    ) throws(CodecError) {
        let place = cursor.offset
        try cursor.read(body, limit: domain, into: out, count: count)
        for index in 0..<count {
            let member = next + Int(out[index])
            guard member < domain else {
                throw .malformed(field: "a position", offset: place, reason: "is \(member) of only \(domain)")
            }
            out[index] = UInt32(member)
            next = member + 1
        }
    }

    /// The bitmap of all members, or of the others. Allocates domain/8 bytes, which the layout bounds.
    static func expand(
        _ stream: RiceStream, domain: Int, inverted: Bool, body: UnsafePointer<UInt8>
    ) throws(CodecError) -> [UInt8] {
        var bits =
            inverted ? Bitmap(repeating: true, count: domain).bytes : [UInt8](repeating: 0, count: (domain + 7) / 8)
        var reader = GapReader(stream, domain: domain)
        var run = [UInt32](repeating: 0, count: RiceCode.segmentLength)
        var done = 0
        while done < stream.count {
            let length = min(run.count, stream.count - done)
            try run.withUnsafeMutableBufferPointer { (run) throws(CodecError) in
                guard let target = run.baseAddress else { return }
                try reader.read(body, into: target, count: length)
            }
            for member in run[..<length] { bits[Int(member >> 3)] ^= 1 << UInt8(member & 7) }
            done += length
        }
        return bits
    }
}
