import CKernels
import Tensors

/// Buffers of one run.
final class RunScratch {
    let values: UnsafeMutablePointer<Float>
    let indices: UnsafeMutablePointer<UInt32>
    let codes: UnsafeMutablePointer<Int8>
    let folded: UnsafeMutablePointer<UInt8>

    init(capacity: Int) {
        values = .allocate(capacity: capacity)
        indices = .allocate(capacity: capacity)
        codes = .allocate(capacity: capacity)
        folded = .allocate(capacity: capacity)
    }

    deinit {
        values.deallocate()
        indices.deallocate()
        codes.deallocate()
        folded.deallocate()
    }
}

/// Values of one record coming out of the body in order, a run at a time.
struct ValueReader {
    private let record: TensorRecord
    private let body: UnsafePointer<UInt8>
    private var cursor: RiceCursor
    /// 256 levels whatever their number: the rest are 0. Made here, because records are many and readers few.
    private var levels: [Float] = []

    /// - Parameter first: number of the first value to be read, a multiple of `RecordRuns.shareUnit`.
    init(record: TensorRecord, body: UnsafePointer<UInt8>, first: Int) {
        self.record = record
        self.body = body
        cursor = record.isRice ? record.codes.cursor(at: first / RecordRuns.runLength) : RiceCursor(offset: 0)
        guard record.levelCount > 0 else { return }
        levels = [Float](repeating: 0, count: 256)
        for number in 0..<record.levelCount {
            let place = record.levelRange.lowerBound + 2 * number
            levels[number] = Float(Float16(bitPattern: UInt16(body[place]) | UInt16(body[place + 1]) << 8))
        }
    }

    private var scales: UnsafePointer<UInt8> { body + record.scaleRange.lowerBound }
    private var bytes: UnsafePointer<UInt8> { body + record.codeRange.lowerBound }

    /// The values of a run, into `scratch.values`.
    mutating func read(from first: Int, count: Int, into scratch: RunScratch) throws(CodecError) {
        let (format, factor, block) = (record.format, record.factor, record.blockSize)
        switch format {
        case .float32:
            UnsafeMutableRawPointer(scratch.values).copyMemory(from: bytes + 4 * first, byteCount: 4 * count)
        case .float16: pleach_from_half(bytes + 2 * first, count, factor, scratch.values)
        case .bfloat16: pleach_from_bfloat(bytes + 2 * first, count, scratch.values)
        case .int8, .int6, .int4, .int3, .int2:
            let codes = try codes(from: first, count: count, scratch)
            pleach_dequantize(codes, count, scales, factor, block, first, format.hasHalfSteps, scratch.values)
        case .ternary, .sign: pleach_dequantize_signs(bytes, count, scales, factor, block, first, scratch.values)
        case .codebook16, .codebook256:
            let codes = try levels(from: first, count: count, scratch)
            pleach_dequantize_levels(codes, count, scales, factor, block, first, levels, scratch.values)
        }
        record.rotation?.restore(UnsafeMutableBufferPointer(start: scratch.values, count: count), first: first)
    }

    /// The codes of a run of an integer format, checked.
    mutating func codes(
        from first: Int, count: Int, _ scratch: RunScratch
    ) throws(CodecError) -> UnsafePointer<Int8> {
        let levels = record.format.levels
        if record.isRice {
            let floor = record.floor
            let limit = 2 * (levels - floor) + (floor > 0 ? 1 : 0)
            try cursor.read(body, limit: limit, into: scratch.folded, count: count)
            pleach_unfold_signs(scratch.folded, count, UInt32(floor), scratch.codes)
            return UnsafePointer(scratch.codes)
        }
        var codes = UnsafePointer(scratch.codes)
        if record.format == .int8 {
            codes = UnsafeRawPointer(bytes + first).assumingMemoryBound(to: Int8.self)
        } else {
            pleach_unpack_codes(bytes, first, count, UInt32(record.format.bitCount), true, scratch.codes)
        }
        var smallest: Int8 = 0
        var largest: Int8 = 0
        pleach_code_range(codes, count, &smallest, &largest)
        guard record.format.hasHalfSteps || Int(smallest) >= -levels else {
            throw .malformed(field: "a value", offset: record.codeRange.lowerBound, reason: "is below -\(levels)")
        }
        return codes
    }

    /// The numbers of levels of a run, checked.
    private func levels(
        from first: Int, count: Int, _ scratch: RunScratch
    ) throws(CodecError) -> UnsafePointer<UInt8> {
        var codes = bytes + first
        if record.format == .codebook16 {
            pleach_unpack_codes(bytes, first, count, 4, false, scratch.codes)
            codes = UnsafeRawPointer(scratch.codes).assumingMemoryBound(to: UInt8.self)
        }
        guard Int(pleach_largest_byte(codes, count)) < record.levelCount else {
            throw .malformed(
                field: "a value", offset: record.codeRange.lowerBound,
                reason: "is no level of the \(record.levelCount) there are")
        }
        return codes
    }
}
