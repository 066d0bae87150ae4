import CKernels
import Tensors

/// A stretch of decoded values and where they belong.
struct ValueRun {
    let values: UnsafeBufferPointer<Float>
    /// The element of each value, ascending; nil when they are `start`, `start + 1`, ...
    let indices: UnsafePointer<UInt32>?
    let start: Int
}

/// Decodes one record run by run, in constant memory (a position bitmap of elements/8 bytes for left-out gaps aside).
///
/// All bytes are checked on the way; a record that was walked to its end once cannot fail the next time.
struct RecordRuns {
    private static let runLength = 2048
    private static let releasedAtOnce = 1 << 20

    let record: TensorRecord
    /// The record's tensor's mask; nil when all elements are alive.
    let mask: Bitmap?
    let tensorName: String

    /// Calls `visit` with each run, in order.
    /// - Parameter resolving: whether `visit` needs the elements' indices; otherwise indices are those among the alive.
    func forEach(
        in region: ByteRegion, resolving: Bool = true, _ visit: (ValueRun) -> Void
    ) throws(CodecError) {
        try region.withUnsafeBufferPointer { (bytes) throws(CodecError) in
            guard let body = bytes.baseAddress else { return }
            try forEach(in: region, body, resolving: resolving, visit)
        }
        region.release(record.positionRange)
        region.release(record.scaleRange)
        region.release(record.codeRange)
    }

    private func forEach(
        in region: ByteRegion, _ body: UnsafePointer<UInt8>, resolving: Bool, _ visit: (ValueRun) -> Void
    ) throws(CodecError) {
        let range = record.positionRange
        switch record.positions {
        case .dense: try walk(region, body, positions: .all, resolving: resolving, visit)
        case .bitmap: try walk(region, body, positions: .bits(body + range.lowerBound), resolving: resolving, visit)
        case .gaps:
            let stream = RiceStream(parameter: record.positionParameter, range: range)
            try walk(
                region, body, positions: .gaps(GapReader(stream: stream, domain: record.alive)), resolving: resolving,
                visit)
        case .gapsBetweenLeftOut:
            let bits = try GapReader.expand(
                RiceStream(parameter: record.positionParameter, range: range), count: record.alive - record.kept,
                domain: record.alive, inverted: true, body: body)
            try bits.withUnsafeBufferPointer { (bits) throws(CodecError) in
                guard let first = bits.baseAddress else { return }
                try walk(region, body, positions: .bits(first), resolving: resolving, visit)
            }
        }
    }

    private enum PositionSource {
        case all
        case bits(UnsafePointer<UInt8>)
        case gaps(GapReader)
    }

    private func walk(
        _ region: ByteRegion, _ body: UnsafePointer<UInt8>, positions: PositionSource, resolving: Bool,
        _ visit: (ValueRun) -> Void
    ) throws(CodecError) {
        let scratch = RunScratch(capacity: min(Self.runLength, record.kept))
        var values = ValueReader(record: record, body: body)
        var gaps: GapReader?
        if case .gaps(let reader) = positions { gaps = reader }
        var bitCursor = 0
        var maskByte = 0
        var maskRank = 0
        var done = 0
        var released = record.codeRange.lowerBound
        while done < record.kept {
            let count = min(Self.runLength, record.kept - done)
            try values.read(from: done, count: count, into: scratch)
            guard pleach_absmax_bits(scratch.values, count) < 0x7f80_0000 else { throw .notFinite(tensor: tensorName) }
            var indices: UnsafeMutablePointer<UInt32>? = scratch.indices
            switch positions {
            case .all:
                if resolving, let mask {
                    nextOnes(of: mask.bytes, mask.count, cursor: &bitCursor, into: scratch.indices, count: count)
                } else {
                    indices = nil
                }
            case .bits(let bits): pleach_next_ones(bits, record.alive, &bitCursor, scratch.indices, count)
            case .gaps: try gaps?.read(body, into: scratch.indices, count: count)
            }
            if record.positions != .dense, resolving, let mask {
                let found = pleach_select_ones(
                    mask.bytes, mask.bytes.count, &maskByte, &maskRank, scratch.indices, count)
                precondition(found, "a record was accepted with more alive elements than its mask has")
            }
            visit(
                ValueRun(
                    values: UnsafeBufferPointer(start: scratch.values, count: count), indices: UnsafePointer(indices),
                    start: done))
            done += count
            let place = values.place(after: done)
            if place - released >= Self.releasedAtOnce {
                region.release(released..<place)
                released = place
            }
        }
        try values.finish()
        try gaps?.stream.finish(body)
    }

    private func nextOnes(
        of bits: [UInt8], _ bitCount: Int, cursor: inout Int, into out: UnsafeMutablePointer<UInt32>, count: Int
    ) {
        let found = pleach_next_ones(bits, bitCount, &cursor, out, count)
        precondition(found == count, "a record was accepted with more alive elements than its mask has")
    }
}

/// Buffers of one run.
private final class RunScratch {
    let values: UnsafeMutablePointer<Float>
    let indices: UnsafeMutablePointer<UInt32>
    let codes: UnsafeMutablePointer<Int8>

    init(capacity: Int) {
        values = .allocate(capacity: capacity)
        indices = .allocate(capacity: capacity)
        codes = .allocate(capacity: capacity)
    }

    deinit {
        values.deallocate()
        indices.deallocate()
        codes.deallocate()
    }
}

/// Values of one record coming out of the body in order.
private struct ValueReader {
    let record: TensorRecord
    let body: UnsafePointer<UInt8>
    private var stream: RiceStream
    private let factor: Float

    init(record: TensorRecord, body: UnsafePointer<UInt8>) {
        self.record = record
        self.body = body
        stream = RiceStream(parameter: record.codeParameter, range: record.codeRange)
        factor = SharedExponent.factor(record.exponent)
    }

    mutating func read(from first: Int, count: Int, into scratch: RunScratch) throws(CodecError) {
        let bytes = body + record.codeRange.lowerBound
        let scales = body + record.scaleRange.lowerBound
        switch record.format {
        case .float32:
            UnsafeMutableRawPointer(scratch.values).copyMemory(from: bytes + 4 * first, byteCount: 4 * count)
        case .float16: pleach_from_half(bytes + 2 * first, count, factor, scratch.values)
        case .ternary:
            pleach_dequantize_signs(bytes, count, scales, factor, record.blockSize, first, scratch.values)
        case .int8 where !record.isRice:
            try bytes.withMemoryRebound(to: Int8.self, capacity: record.codeRange.count) { (codes) throws(CodecError) in
                try dequantize(codes + first, first, count, scratch)
            }
        case .int8, .int4:
            if record.isRice {
                try stream.read(body, limit: 2 * record.format.levels, into: scratch.indices, count: count)
                pleach_unfold_signs(scratch.indices, count, scratch.codes)
            } else {
                pleach_unpack_int4(bytes, first, count, scratch.codes)
            }
            try dequantize(scratch.codes, first, count, scratch)
        }
    }

    /// Where in the body the values after the first `count` begin, or a little before.
    func place(after count: Int) -> Int {
        record.codeRange.lowerBound + (record.isRice ? stream.byteOffset : record.format.plainByteCount(count))
    }

    private func dequantize(
        _ codes: UnsafePointer<Int8>, _ first: Int, _ count: Int, _ scratch: RunScratch
    ) throws(CodecError) {
        guard Int(pleach_minimum_code(codes, count)) >= -record.format.levels else {
            throw .malformed(
                field: "a value", offset: record.codeRange.lowerBound, reason: "is below -\(record.format.levels)")
        }
        let scales = body + record.scaleRange.lowerBound
        pleach_dequantize(codes, count, scales, factor, record.blockSize, first, scratch.values)
    }

    /// Checks what is left of the codes: nothing, spare bits 0.
    func finish() throws(CodecError) {
        if record.isRice { return try stream.finish(body) }
        let spare = record.codeRange.count * 8 - record.kept * record.format.bitCount
        guard spare == 0 || body[record.codeRange.upperBound - 1] >> UInt8(8 - spare) == 0 else {
            throw .malformed(
                field: "the values", offset: record.codeRange.upperBound - 1, reason: "have spare bits set")
        }
    }
}
