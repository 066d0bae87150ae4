/// Bytes in pieces of 1 MiB, each packed with LZ4 or stored as it is: what threads can share out, and what costs nothing
/// where it does not pay.
enum PackedPieces {
    static let pieceByteCount = 1 << 20
    private static let lengthByteCount = 4
    /// A piece is tried in full only if one of these samples of it shrinks.
    private static let (samples, sampleByteCount) = (4, 8 << 10)

    /// The pieces of `range` behind `leaving` zeros, or nil when that is not shorter.
    static func pack(_ bytes: [UInt8], _ range: Range<Int>, leaving: Int, force: WorkForce) -> [UInt8]? {
        let pieces = pieces(of: range.count)
        let packed = force.map(pieces.count) { number in
            let piece = range.lowerBound + pieces[number].lowerBound..<range.lowerBound + pieces[number].upperBound
            let isWorthTrying =
                piece.count < 2 * samples * sampleByteCount
                || LZ4Block.samplesShrink(bytes, piece, samples: samples, byteCount: sampleByteCount)
            return isWorthTrying ? LZ4Block.compress(bytes, piece) : nil
        }
        let byteCount = zip(pieces, packed).reduce(0) { $0 + lengthByteCount + ($1.1?.count ?? $1.0.count) }
        guard byteCount < range.count else { return nil }
        var all = [UInt8](repeating: 0, count: leaving)
        all.reserveCapacity(leaving + byteCount)
        for (piece, packed) in zip(pieces, packed) {
            all.appendLittleEndian(UInt32(packed?.count ?? piece.count))
            if let packed {
                all += packed
            } else {
                all += bytes[range.lowerBound + piece.lowerBound..<range.lowerBound + piece.upperBound]
            }
        }
        return all
    }

    /// Exactly `byteCount` bytes out of all that is left of a container. Nothing is allocated for a count that cannot be true.
    static func unpack(
        _ reader: inout ByteReader, byteCount: Int, force: WorkForce
    ) throws(CodecError) -> [UInt8] {
        guard byteCount / LZ4Block.largestExpansion <= reader.remaining else {
            throw reader.malformed("the body", "cannot unpack to \(byteCount) bytes")
        }
        let pieces = pieces(of: byteCount)
        var packed: [Range<Int>] = []
        for piece in pieces {
            let length: UInt32 = try reader.littleEndian("the length of a piece")
            guard length <= piece.count else {
                throw reader.malformed("the length of a piece", "is \(length), above \(piece.count)")
            }
            packed.append(try reader.range(Int(length), "a piece of the body"))
        }
        guard reader.remaining == 0 else { throw .trailingBytes(reader.remaining) }
        let bytes = reader.bytes
        var isRight: [Bool] = []
        let body = [UInt8](unsafeUninitializedCapacity: byteCount) { buffer, filled in
            let target = SharedPointer(buffer.baseAddress)
            isRight = force.map(pieces.count) { number in
                bytes.withUnsafeBufferPointer { all in
                    let source = UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(all)[packed[number]])
                    let place = UnsafeMutableRawBufferPointer(
                        start: target.pointer.map { $0 + pieces[number].lowerBound }, count: pieces[number].count)
                    guard source.count < place.count else {
                        place.copyMemory(from: source)
                        return true
                    }
                    return LZ4Block.decompress(source, into: place)
                }
            }
            filled = isRight.allSatisfy { $0 } ? byteCount : 0
        }
        if let wrong = isRight.firstIndex(of: false) {
            throw .malformed(
                field: "a piece of the body", offset: packed[wrong].lowerBound,
                reason: "is not valid LZ4 of \(pieces[wrong].count) bytes")
        }
        return body
    }

    private static func pieces(of byteCount: Int) -> [Range<Int>] {
        stride(from: 0, to: byteCount, by: pieceByteCount).map { $0..<min(byteCount, $0 + pieceByteCount) }
    }
}
