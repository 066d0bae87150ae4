import CKernels
import Tensors

/// A stretch of decoded values and where they belong.
struct ValueRun {
    let values: UnsafeBufferPointer<Float>
    /// The element of each value, ascending; nil when they are `start`, `start + 1`, ...
    let indices: UnsafePointer<UInt32>?
    let start: Int

    /// Puts the values in their places.
    func copy(to target: UnsafeMutablePointer<Float>) {
        if let indices {
            for place in values.indices { target[Int(indices[place])] = values[place] }
        } else if let source = values.baseAddress {
            (target + start).update(from: source, count: values.count)
        }
    }
}

/// A stretch of integer codes of a record whose values follow one another.
struct CodeRun {
    let codes: UnsafeBufferPointer<Int8>
    let start: Int
}

/// Where reading the positions of a record can begin.
struct PositionIndex: Sendable {
    /// At every 64th run: the gaps' cursor and where its first gap begins.
    var gaps: [GapReader] = []
}

/// Decodes one record run by run, in constant memory (a position bitmap of elements/8 bytes for left-out gaps aside).
///
/// All bytes are checked on the way; a record that was walked to its end once cannot fail the next time.
struct RecordRuns: Sendable {
    static let runLength = RiceCode.segmentLength
    /// Runs of a share are a multiple of these, so that it begins where streams can be entered.
    static let shareUnit = RiceStream.segmentsPerEntry * runLength

    let record: TensorRecord
    /// The record's tensor's mask; nil when all elements are alive.
    let mask: Bitmap?
    let tensorName: String

    /// Whether integer codes can be taken as they are: in the order of elements, whole multiples of their scales.
    var isPlainIntegers: Bool { hasNoIndices && hasPlainIntegers }

    /// Whether values are those of all elements, in their order.
    var hasNoIndices: Bool { record.positions == .dense && mask == nil }

    private var hasPlainIntegers: Bool {
        record.format.isInteger && !record.format.hasHalfSteps && record.rotation == nil
    }

    // MARK: Checking

    /// Walks through the positions of a record, checks them and finds where reading can begin.
    func indexPositions(in region: ByteRegion) throws(CodecError) -> PositionIndex {
        var index = PositionIndex()
        defer { region.release(record.positionRange) }
        switch record.positions {
        case .dense, .bitmap: return index
        case .gapsBetweenLeftOut:
            _ = try leftOutBits(in: region)
            return index
        case .gaps, .blocks: break
        }
        var gaps = GapReader(record.gaps, domain: record.alive)
        let scratch = RunScratch(capacity: min(Self.runLength, record.kept))
        for start in stride(from: 0, to: record.kept, by: Self.runLength) {
            if start % Self.shareUnit == 0, record.positions == .gaps { index.gaps.append(gaps) }
            let count = min(Self.runLength, record.kept - start)
            try region.withBody { (body) throws(CodecError) in
                if record.positions == .gaps {
                    try gaps.read(body, into: scratch.indices, count: count)
                } else {
                    try readBlocks(body, from: start, count: count, into: scratch.indices)
                }
            }
        }
        return index
    }

    /// The largest magnitude and Σx² of all values, which are checked on the way.
    func measure(in region: ByteRegion, force: WorkForce) throws(CodecError) -> (largest: Float, squares: Double) {
        let shares = force.shares(of: record.kept, unit: Self.shareUnit)
        // Sums of shares would depend on the number of threads; sums of units do not.
        let parts = try force.tryMap(shares.count) { (share) throws(CodecError) in
            var parts: [(largest: Float, squares: Double)] = []
            let end = shares[share].upperBound
            for start in stride(from: shares[share].lowerBound, to: end, by: Self.shareUnit) {
                parts.append(try measure(in: region, start..<min(start + Self.shareUnit, end)))
            }
            return parts
        }.flatMap { $0 }
        region.release(record.scaleRange)
        region.release(record.codeRange)
        return (parts.reduce(0) { max($0, $1.largest) }, parts.reduce(0) { $0 + $1.squares })
    }

    private func measure(
        in region: ByteRegion, _ range: Range<Int>
    ) throws(CodecError) -> (largest: Float, squares: Double) {
        var largest: Float = 0
        var squares = 0.0
        try region.withBody { (body) throws(CodecError) in
            let scratch = RunScratch(capacity: min(Self.runLength, range.count))
            var values = ValueReader(record: record, body: body, first: range.lowerBound)
            for start in stride(from: range.lowerBound, to: range.upperBound, by: Self.runLength) {
                let count = min(Self.runLength, range.upperBound - start)
                if hasPlainIntegers {
                    let codes = try values.codes(from: start, count: count, scratch)
                    pleach_measure_codes(
                        codes, count, body + record.scaleRange.lowerBound, record.factor, record.blockSize, start,
                        &largest, &squares)
                } else {
                    try values.read(from: start, count: count, into: scratch)
                    let bits = pleach_absmax_bits(scratch.values, count)
                    largest = bits < 0x7f80_0000 ? max(largest, Float(bitPattern: bits)) : .infinity
                    squares += pleach_sum_squares(scratch.values, count)
                }
                guard largest.isFinite else { throw .notFinite(tensor: tensorName) }
            }
            region.release(record.codeBytes(of: range))
        }
        return (largest, squares)
    }

    // MARK: Visiting

    /// Calls `visit` with each run, in any order and on several threads, but with no element twice.
    func forEach(
        in region: ByteRegion, _ positions: PositionIndex, force: WorkForce = .alone, _ visit: (ValueRun) -> Void
    ) throws(CodecError) {
        let leftOut = record.positions == .gapsBetweenLeftOut ? try leftOutBits(in: region) : []
        let shares = force.shares(of: record.kept, unit: Self.shareUnit)
        _ = try force.tryMap(shares.count) { (share) throws(CodecError) in
            try region.withBody { (body) throws(CodecError) in
                try walk(region, body, shares[share], positions, leftOut, visit)
            }
        }
        region.release(record.positionRange)
        region.release(record.scaleRange)
        region.release(record.codeRange)
    }

    /// Calls `visit` with the codes themselves, likewise. Precondition: `isPlainIntegers`.
    func forEachCodes(
        in region: ByteRegion, force: WorkForce, _ visit: (CodeRun, _ scales: UnsafePointer<UInt8>) -> Void
    ) throws(CodecError) {
        let shares = force.shares(of: record.kept, unit: Self.shareUnit)
        _ = try force.tryMap(shares.count) { (share) throws(CodecError) in
            try region.withBody { (body) throws(CodecError) in
                let range = shares[share]
                let scratch = RunScratch(capacity: min(Self.runLength, range.count))
                var values = ValueReader(record: record, body: body, first: range.lowerBound)
                for start in stride(from: range.lowerBound, to: range.upperBound, by: Self.runLength) {
                    let count = min(Self.runLength, range.upperBound - start)
                    let codes = try values.codes(from: start, count: count, scratch)
                    visit(
                        CodeRun(codes: UnsafeBufferPointer(start: codes, count: count), start: start),
                        body + record.scaleRange.lowerBound)
                    releaseUnit(region, endingAt: start + count)
                }
            }
        }
        region.release(record.scaleRange)
        region.release(record.codeRange)
    }

    /// Mapped pages go unit by unit.
    private func releaseUnit(_ region: ByteRegion, endingAt end: Int) {
        guard end % Self.shareUnit == 0 else { return }
        region.release(record.codeBytes(of: end - Self.shareUnit..<end))
    }

    private func walk(
        _ region: ByteRegion, _ body: UnsafePointer<UInt8>, _ range: Range<Int>, _ positions: PositionIndex,
        _ leftOut: [UInt8], _ visit: (ValueRun) -> Void
    ) throws(CodecError) {
        guard !range.isEmpty else { return }
        let scratch = RunScratch(capacity: min(Self.runLength, range.count))
        var values = ValueReader(record: record, body: body, first: range.lowerBound)
        var places = PlaceReader(self, body, positions, first: range.lowerBound, leftOut: leftOut)
        for start in stride(from: range.lowerBound, to: range.upperBound, by: Self.runLength) {
            let count = min(Self.runLength, range.upperBound - start)
            try values.read(from: start, count: count, into: scratch)
            let hasIndices = try places.read(from: start, count: count, into: scratch.indices)
            visit(
                ValueRun(
                    values: UnsafeBufferPointer(start: scratch.values, count: count),
                    indices: hasIndices ? UnsafePointer(scratch.indices) : nil, start: start))
            releaseUnit(region, endingAt: start + count)
        }
    }

    func readBlocks(
        _ body: UnsafePointer<UInt8>, from first: Int, count: Int, into out: UnsafeMutablePointer<UInt32>
    ) throws(CodecError) {
        let field = body + record.positionRange.lowerBound
        guard record.blocks.read(field, first: first, into: UnsafeMutableBufferPointer(start: out, count: count)) else {
            throw .malformed(
                field: "the places in blocks", offset: record.positionRange.lowerBound,
                reason: "do not rise, or leave their block")
        }
    }

    private func leftOutBits(in region: ByteRegion) throws(CodecError) -> [UInt8] {
        try region.withBody { (body) throws(CodecError) in
            try GapReader.expand(record.gaps, domain: record.alive, inverted: true, body: body)
        }
    }
}

extension TensorRecord {
    /// About where the codes of some values lie.
    fileprivate func codeBytes(of range: Range<Int>) -> Range<Int> {
        func place(_ value: Int) -> Int {
            guard isRice else { return codeRange.lowerBound + value * format.bitCount / 8 }
            let entry = value / RecordRuns.shareUnit
            return entry < codes.entries.count ? codes.entries[entry] : codeRange.upperBound
        }
        return place(
            range.lowerBound)..<max(place(range.lowerBound), min(place(range.upperBound), codeRange.upperBound))
    }
}
