import CKernels

/// One tensor of a container, parsed: what it holds and where, but not yet its values.
struct TensorRecord: Sendable, Equatable {
    let index: Int
    let elements: Int
    let alive: Int
    /// How many values are sent.
    let kept: Int
    let positions: PositionScheme
    let format: ValueFormat
    let isRice: Bool
    /// Bitmap or gap stream.
    private(set) var positionRange = 0..<0
    private(set) var positionParameter = 0
    private(set) var exponent = 0
    private(set) var blockSize = 1
    private(set) var scaleRange = 0..<0
    /// Plain values or their Rice stream.
    private(set) var codeRange = 0..<0
    private(set) var codeParameter = 0
    /// All bytes of the record.
    private(set) var byteCount = 0

    static let riceBit: UInt8 = 1 << 5

    /// Writes the fields in front of positions and values.
    static func writeHead(
        of record: TensorEncoder.Record, index: Int, after previous: Int, elements: Int, to bytes: inout [UInt8]
    ) {
        let values = record.values
        bytes.appendVarint(index - previous - 1)
        bytes.appendVarint(elements)
        bytes.appendVarint(elements - record.alive)
        bytes.append(record.positions.rawValue | values.format.rawValue << 2 | (values.isRice ? riceBit : 0))
        if record.positions != .dense { bytes.appendVarint(record.kept) }
    }

    /// Reads a record up to its end and checks all that can be checked without its values.
    /// - Parameter accept: throws unless a tensor of this index, element count and alive count is expected.
    init(
        _ reader: inout ByteReader, after previous: Int, limits: CodecLimits,
        accept: (_ index: Int, _ elements: Int, _ alive: Int) throws(CodecError) -> Void
    ) throws(CodecError) {
        let start = reader.offset
        index = previous + 1 + (try reader.varint("a tensor index", limit: limits.tensors))
        elements = try reader.varint("an element count", limit: limits.tensorElements)
        alive = elements - (try reader.varint("a count of dead elements", limit: elements))
        try accept(index, elements, alive)
        let form = try reader.byte("a record's form")
        guard form < 64, let positions = PositionScheme(rawValue: form & 3),
            let format = ValueFormat(rawValue: form >> 2 & 7), form & Self.riceBit == 0 || format.levels > 0
        else { throw reader.malformed("a record's form", "is \(form), which no scheme has") }
        self.positions = positions
        self.format = format
        isRice = form & Self.riceBit != 0
        // Dense and empty is left out altogether; so is a position scheme where dense would do.
        kept = positions == .dense ? alive : try reader.varint("a count of sent values", limit: max(alive - 1, 0))
        guard kept > 0 else { throw reader.malformed("a count of sent values", "is 0") }
        try readPositions(&reader)
        try readValues(&reader, limits: limits)
        byteCount = reader.offset - start
    }

    private mutating func readPositions(_ reader: inout ByteReader) throws(CodecError) {
        let bitmapByteCount = (alive + 7) / 8
        switch positions {
        case .dense: break
        case .bitmap:
            positionRange = try reader.range(bitmapByteCount, "a position bitmap")
            let ones = reader.bytes.withUnsafeBufferPointer {
                pleach_count_ones($0.baseAddress.map { $0 + positionRange.lowerBound }, bitmapByteCount)
            }
            let spare = UInt8(truncatingIfNeeded: bitmapByteCount * 8 - alive)
            guard ones == kept, spare == 0 || reader.bytes[positionRange.upperBound - 1] >> (8 - spare) == 0 else {
                throw reader.malformed("a position bitmap", "has not exactly \(kept) bits set below \(alive)")
            }
        case .gaps, .gapsBetweenLeftOut:
            let stream = try RiceStream(
                &reader, "the positions", largestParameter: RiceCode.largestGapParameter, byteLimit: bitmapByteCount)
            (positionParameter, positionRange) = (stream.parameter, stream.range)
        }
    }

    private mutating func readValues(_ reader: inout ByteReader, limits: CodecLimits) throws(CodecError) {
        if format != .float32 {
            exponent = Int(Int8(bitPattern: try reader.byte("an exponent")))
            guard SharedExponent.range.contains(exponent) else {
                throw reader.malformed("an exponent", "is \(exponent), outside \(SharedExponent.range)")
            }
        }
        if format.hasScales {
            blockSize = try reader.varint("a block size", limit: limits.blockSize)
            guard blockSize > 0 else { throw reader.malformed("a block size", "is 0") }
            scaleRange = try reader.range(2 * ((kept + blockSize - 1) / blockSize), "the scales")
            // Sign 0 and an exponent below 31: neither negative nor infinite nor NaN.
            let isFinite = reader.bytes.withUnsafeBufferPointer { bytes in
                stride(from: scaleRange.lowerBound + 1, to: scaleRange.upperBound, by: 2).allSatisfy {
                    bytes[$0] < 0x7c
                }
            }
            guard isFinite else { throw reader.malformed("a scale", "is negative or not finite") }
        }
        let plainCount = format.plainByteCount(kept)
        if isRice {
            let stream = try RiceStream(
                &reader, "the values", largestParameter: RiceCode.largestValueParameter, byteLimit: plainCount)
            (codeParameter, codeRange) = (stream.parameter, stream.range)
        } else {
            codeRange = try reader.range(plainCount, "the values")
        }
    }
}
