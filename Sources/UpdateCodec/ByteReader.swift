/// A cursor over bytes that are not trusted: each read checks the bounds first.
struct ByteReader {
    let bytes: ByteRegion
    private(set) var offset: Int

    init(_ bytes: ByteRegion, offset: Int = 0) {
        self.bytes = bytes
        self.offset = offset
    }

    var remaining: Int { bytes.count - offset }

    func malformed(_ field: String, _ reason: String) -> CodecError {
        .malformed(field: field, offset: offset, reason: reason)
    }

    /// The place of the next `count` bytes, which are passed over.
    mutating func range(_ count: Int, _ field: String) throws(CodecError) -> Range<Int> {
        guard count >= 0, count <= remaining else { throw .truncated(field: field, offset: bytes.count) }
        defer { offset += count }
        return offset..<offset + count
    }

    mutating func byte(_ field: String) throws(CodecError) -> UInt8 { bytes[try range(1, field).lowerBound] }

    mutating func littleEndian<Value: FixedWidthInteger>(_ field: String) throws(CodecError) -> Value {
        let place = try range(MemoryLayout<Value>.size, field)
        return bytes[place].reversed().reduce(0) { $0 << 8 | Value(truncatingIfNeeded: $1) }
    }

    /// An unsigned LEB128 number in its shortest form, at most `limit`.
    mutating func varint(_ field: String, limit: Int) throws(CodecError) -> Int {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while true {
            let byte = try byte(field)
            guard shift < 63 else { throw malformed(field, "is longer than 9 bytes") }
            value |= UInt64(byte & 0x7f) << shift
            if byte & 0x80 == 0 {
                guard byte != 0 || shift == 0 else { throw malformed(field, "is not in its shortest form") }
                break
            }
            shift += 7
        }
        guard value <= UInt64(limit) else {
            throw .limitExceeded(field: field, value: Int(clamping: value), limit: limit)
        }
        return Int(value)
    }
}

extension [UInt8] {
    mutating func appendLittleEndian<Value: FixedWidthInteger>(_ value: Value) {
        for shift in stride(from: 0, to: Value.bitWidth, by: 8) {
            append(UInt8(truncatingIfNeeded: value >> Value(shift)))
        }
    }

    /// Appends unsigned LEB128. Precondition: `value` is not negative.
    mutating func appendVarint(_ value: Int) {
        var rest = UInt64(value)
        while rest > 0x7f {
            append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        append(UInt8(rest))
    }
}
