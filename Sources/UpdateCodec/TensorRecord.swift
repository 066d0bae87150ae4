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
    /// Seed of the rotation; nil without one.
    private(set) var rotation: Rotation?
    /// What the blocks scheme counts.
    let blocks: PositionBlocks
    /// Bitmap, gap stream or places in blocks.
    private(set) var positionRange = 0..<0
    private(set) var gaps = RiceStream.none
    private(set) var exponent = 0
    private(set) var blockSize = 1
    private(set) var scaleRange = 0..<0
    /// The levels of a codebook, binary16 each.
    private(set) var levelRange = 0..<0
    /// Plain values or their Rice stream.
    private(set) var codeRange = 0..<0
    private(set) var codes = RiceStream.none
    /// The smallest magnitude of Rice-coded codes.
    private(set) var floor = 0
    /// All bytes of the record.
    private(set) var byteCount = 0

    private static let riceBit: UInt8 = 1 << 3
    private static let rotationBit: UInt8 = 1 << 4

    var levelCount: Int { levelRange.count / 2 }

    /// 2^exponent.
    var factor: Float { SharedExponent.factor(exponent) }

    static func form(_ positions: PositionScheme, isRice: Bool, isRotated: Bool) -> UInt8 {
        positions.rawValue | (isRice ? riceBit : 0) | (isRotated ? rotationBit : 0)
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
        let formatByte = try reader.byte("a record's format")
        isRice = form & Self.riceBit != 0
        let isRotated = form & Self.rotationBit != 0
        guard form < 32, let positions = PositionScheme(rawValue: form & 7),
            let format = ValueFormat(rawValue: formatByte), !isRice || format.takesRice,
            !isRotated || format.takesRotation
        else { throw reader.malformed("a record's form", "is \(form) with format \(formatByte), which no scheme has") }
        self.positions = positions
        self.format = format
        switch positions {
        case .dense: (kept, blocks) = (alive, PositionBlocks(domain: alive, perBlock: 0))
        case .blocks:
            let perBlock = try reader.varint("a count of values per block", limit: PositionBlocks.size - 1)
            blocks = PositionBlocks(domain: alive, perBlock: perBlock)
            kept = blocks.count
        case .bitmap, .gaps, .gapsBetweenLeftOut:
            // A position scheme where dense would do is left out.
            kept = try reader.varint("a count of sent values", limit: max(alive - 1, 0))
            blocks = PositionBlocks(domain: alive, perBlock: 0)
        }
        guard kept > 0, positions == .dense || kept < alive else {
            throw reader.malformed("a count of sent values", "is \(kept) of \(alive)")
        }
        try readPositions(&reader)
        if isRotated { rotation = Rotation(seed: try reader.littleEndian("a rotation's seed")) }
        try readScales(&reader, limits: limits)
        try readCodes(&reader)
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
            gaps = try RiceStream(
                &reader, "the positions", count: positions == .gaps ? kept : alive - kept,
                largestParameter: RiceCode.largestGapParameter, byteLimit: bitmapByteCount)
            positionRange = gaps.range
        case .blocks:
            positionRange = try reader.range(blocks.byteCount, "the places in blocks")
            guard kept % 2 == 0 || reader.bytes[positionRange.upperBound - 1] >> 4 == 0 else {
                throw reader.malformed("the places in blocks", "have spare bits set")
            }
        }
    }

    private mutating func readScales(_ reader: inout ByteReader, limits: CodecLimits) throws(CodecError) {
        if format.hasExponent {
            exponent = Int(Int8(bitPattern: try reader.byte("an exponent")))
            guard SharedExponent.range.contains(exponent) else {
                throw reader.malformed("an exponent", "is \(exponent), outside \(SharedExponent.range)")
            }
        }
        guard format.hasScales else { return }
        blockSize = try reader.varint("a block size", limit: limits.blockSize)
        guard blockSize > 0 else { throw reader.malformed("a block size", "is 0") }
        scaleRange = try reader.range(2 * ((kept + blockSize - 1) / blockSize), "the scales")
        // Sign 0 and an exponent below 31: neither negative nor infinite nor NaN.
        let isFinite = reader.bytes.withUnsafeBufferPointer { bytes in
            stride(from: scaleRange.lowerBound + 1, to: scaleRange.upperBound, by: 2).allSatisfy { bytes[$0] < 0x7c }
        }
        guard isFinite else { throw reader.malformed("a scale", "is negative or not finite") }
        guard format.codebookSize > 0 else { return }
        let levelCount = 1 + Int(try reader.byte("a count of levels"))
        guard levelCount <= format.codebookSize else {
            throw reader.malformed("a count of levels", "is \(levelCount), above \(format.codebookSize)")
        }
        levelRange = try reader.range(2 * levelCount, "the levels")
        let levelsAreFinite = stride(from: levelRange.lowerBound + 1, to: levelRange.upperBound, by: 2)
            .allSatisfy { reader.bytes[$0] & 0x7c != 0x7c }
        guard levelsAreFinite else { throw reader.malformed("a level", "is not finite") }
    }

    private mutating func readCodes(_ reader: inout ByteReader) throws(CodecError) {
        let plainCount = format.plainByteCount(kept)
        if isRice {
            floor = Int(try reader.byte("a floor"))
            guard floor <= format.levels else {
                throw reader.malformed("a floor", "is \(floor), above \(format.levels)")
            }
            codes = try RiceStream(
                &reader, "the values", count: kept, largestParameter: RiceCode.largestValueParameter,
                byteLimit: plainCount - 1)
            codeRange = codes.range
            return
        }
        codeRange = try reader.range(plainCount, "the values")
        let spare = plainCount * 8 - kept * format.bitCount
        guard spare == 0 || reader.bytes[codeRange.upperBound - 1] >> UInt8(8 - spare) == 0 else {
            throw reader.malformed("the values", "have spare bits set")
        }
    }
}
