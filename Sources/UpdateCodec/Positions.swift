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

    var name: String {
        switch self {
        case .dense: "dense"
        case .bitmap: "bitmap"
        case .gaps: "gaps"
        case .gapsBetweenLeftOut: "gaps-of-left-out"
        }
    }
}

/// A subset of 0..<domain, coded the cheapest way: bitmap, or gaps of its members or of the others.
struct CodedSubset {
    let scheme: PositionScheme
    let bytes: [UInt8]

    /// - Parameter members: ascending, below `domain`; neither none nor all.
    init(_ members: [UInt32], domain: Int) {
        let fewMembers = members.count <= domain - members.count
        let gaps = Self.gaps(fewMembers ? members : Self.complement(of: members, domain: domain))
        (scheme, bytes) = gaps.withUnsafeBufferPointer { gaps in
            let code = RiceCode(best: gaps, largestParameter: RiceCode.largestGapParameter)
            guard code.fieldByteCount < (domain + 7) / 8 else { return (.bitmap, Self.bitmap(members, domain: domain)) }
            var bytes: [UInt8] = []
            bytes.reserveCapacity(code.fieldByteCount)
            code.write(gaps, to: &bytes)
            return (fewMembers ? .gaps : .gapsBetweenLeftOut, bytes)
        }
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

/// Members of a subset coming out of a stream of gaps, a run at a time.
struct GapReader {
    var stream: RiceStream
    let domain: Int
    private var next = 0

    init(stream: RiceStream, domain: Int) {
        self.stream = stream
        self.domain = domain
    }

    /// Writes the next `count` members, ascending and below `domain`.
    mutating func read(
        _ body: UnsafePointer<UInt8>, into out: UnsafeMutablePointer<UInt32>, count: Int
    ) throws(CodecError) {
        try stream.read(body, limit: domain, into: out, count: count)
        for index in 0..<count {
            let member = next + Int(out[index])
            guard member < domain else {
                throw .malformed(
                    field: "a position", offset: stream.range.lowerBound, reason: "is \(member) of only \(domain)")
            }
            out[index] = UInt32(member)
            next = member + 1
        }
    }

    /// The bitmap of all `count` members, or of the others. Allocates domain/8 bytes, which the layout bounds.
    static func expand(
        _ stream: RiceStream, count: Int, domain: Int, inverted: Bool, body: UnsafePointer<UInt8>
    ) throws(CodecError) -> [UInt8] {
        var bits =
            inverted ? Bitmap(repeating: true, count: domain).bytes : [UInt8](repeating: 0, count: (domain + 7) / 8)
        var reader = GapReader(stream: stream, domain: domain)
        var run = [UInt32](repeating: 0, count: 1024)
        var done = 0
        while done < count {
            let length = min(run.count, count - done)
            try run.withUnsafeMutableBufferPointer { (run) throws(CodecError) in
                guard let target = run.baseAddress else { return }
                try reader.read(body, into: target, count: length)
            }
            for member in run[..<length] { bits[Int(member >> 3)] ^= 1 << UInt8(member & 7) }
            done += length
        }
        try reader.stream.finish(body)
        return bits
    }
}
