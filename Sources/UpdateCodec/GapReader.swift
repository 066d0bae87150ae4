import Tensors

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
