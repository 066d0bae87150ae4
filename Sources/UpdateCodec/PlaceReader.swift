import CKernels
import Tensors

/// The elements of a record's values, run by run.
struct PlaceReader {
    private let runs: RecordRuns
    private let body: UnsafePointer<UInt8>
    /// A bitmap of what is sent; empty unless the record says what is not.
    private let leftOut: [UInt8]
    private var gaps: GapReader?
    private var bitCursor = 0
    private var maskByte = 0
    private var maskRank = 0

    init(_ runs: RecordRuns, _ body: UnsafePointer<UInt8>, _ positions: PositionIndex, first: Int, leftOut: [UInt8]) {
        self.runs = runs
        self.body = body
        self.leftOut = leftOut
        let record = runs.record
        switch record.positions {
        case .gaps: gaps = positions.gaps[first / RecordRuns.shareUnit]
        case .bitmap where first > 0:
            bitCursor = place(ofOne: first, in: body + record.positionRange.lowerBound, record.positionRange.count)
        case .gapsBetweenLeftOut where first > 0:
            bitCursor = place(ofOne: first, in: leftOut, leftOut.count)
        case .dense where first > 0:
            bitCursor = runs.mask.map { place(ofOne: first, in: $0.bytes, $0.bytes.count) } ?? 0
        case .dense, .bitmap, .gapsBetweenLeftOut, .blocks: break
        }
    }

    private func place(ofOne rank: Int, in bits: UnsafePointer<UInt8>, _ byteCount: Int) -> Int {
        var byte = 0
        var before = 0
        var place = UInt32(rank)
        let found = pleach_select_ones(bits, byteCount, &byte, &before, &place, 1)
        precondition(found, "a record was accepted with more values than its positions have")
        return Int(place)
    }

    /// Writes the elements of the next values; false when they are simply those from `start` on.
    mutating func read(
        from start: Int, count: Int, into out: UnsafeMutablePointer<UInt32>
    ) throws(CodecError) -> Bool {
        let record = runs.record
        switch record.positions {
        case .dense:
            guard let mask = runs.mask else { return false }
            nextOnes(of: mask.bytes, mask.count, into: out, count: count)
            return true
        case .bitmap: nextOnes(of: body + record.positionRange.lowerBound, record.alive, into: out, count: count)
        case .gapsBetweenLeftOut: nextOnes(of: leftOut, record.alive, into: out, count: count)
        case .gaps: try gaps?.read(body, into: out, count: count)
        case .blocks: try runs.readBlocks(body, from: start, count: count, into: out)
        }
        if let mask = runs.mask {
            let found = pleach_select_ones(mask.bytes, mask.bytes.count, &maskByte, &maskRank, out, count)
            precondition(found, "a record was accepted with more alive elements than its mask has")
        }
        return true
    }

    private mutating func nextOnes(
        of bits: UnsafePointer<UInt8>, _ bitCount: Int, into out: UnsafeMutablePointer<UInt32>, count: Int
    ) {
        let found = pleach_next_ones(bits, bitCount, &bitCursor, out, count)
        precondition(found == count, "a record was accepted with more values than its positions have")
    }
}
