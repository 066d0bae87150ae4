import Tensors

/// One histogram per calibrated tensor, in the graph's order. Its bytes are canonical: equal sets have equal bytes.
public struct CalibrationSet: Sendable, Equatable {
    public private(set) var names: [String]
    public private(set) var histograms: [ActivationHistogram]

    /// The first bytes of every set.
    public static let magic = Array("PLCAL1\n\0".utf8)

    public init(names: [String]) {
        self.names = names
        histograms = Array(repeating: ActivationHistogram(), count: names.count)
    }

    /// Precondition: one histogram per name.
    init(names: [String], histograms: [ActivationHistogram]) {
        precondition(names.count == histograms.count, "\(histograms.count) histograms for \(names.count) tensors")
        self.names = names
        self.histograms = histograms
    }

    public subscript(name: String) -> ActivationHistogram? { names.firstIndex(of: name).map { histograms[$0] } }

    /// Adds values of one tensor: all, or the first so many. Precondition: the name is one of the set's, and the tensor has as many.
    mutating func add(_ tensor: Tensor, name: String, first count: Int? = nil) throws(CompressionError) {
        guard let index = names.firstIndex(of: name) else { preconditionFailure("'\(name)' is not calibrated") }
        let isFinite = tensor.withElements(as: Float.self) { values in
            histograms[index].add(UnsafeBufferPointer(rebasing: values[..<(count ?? values.count)]))
        }
        guard isFinite else {
            throw .activationsNotFinite(tensor: name)
        }
    }

    /// The sum of two sets over the same tensors.
    public func merging(_ other: CalibrationSet) throws(CompressionError) -> CalibrationSet {
        guard names == other.names else { throw .malformedCalibration("it is about other tensors") }
        var sum = self
        for index in names.indices { try sum.histograms[index].merge(other.histograms[index]) }
        return sum
    }

    /// Layout, little-endian: magic; number of tensors (varint); per tensor: length of its name (varint), name (UTF-8),
    /// count (varint), and unless that is 0: minimum and maximum (f32), sum and sum of squares (i128), number of used
    /// bins (varint), then per used bin its distance from the one before (varint) and its count (varint).
    public func serialized() -> [UInt8] {
        var bytes = Self.magic
        Self.append(UInt64(names.count), to: &bytes)
        for (name, histogram) in zip(names, histograms) {
            Self.append(UInt64(name.utf8.count), to: &bytes)
            bytes.append(contentsOf: name.utf8)
            Self.append(histogram.count, to: &bytes)
            if histogram.count == 0 { continue }
            for bits in [histogram.minimum.bitPattern, histogram.maximum.bitPattern] {
                Self.append(fixed: bits, to: &bytes)
            }
            for value in [histogram.sum, histogram.sumOfSquares] { Self.append(fixed: value, to: &bytes) }
            let used = histogram.counts.indices.filter { histogram.counts[$0] != 0 }
            Self.append(UInt64(used.count), to: &bytes)
            var last = -1
            for bin in used {
                Self.append(UInt64(bin - last), to: &bytes)
                Self.append(histogram.counts[bin], to: &bytes)
                last = bin
            }
        }
        return bytes
    }

    /// Reads a set that must be about exactly `names`, in that order; trusts nothing else.
    public init(parsing bytes: [UInt8], expecting names: [String]) throws(CompressionError) {
        guard bytes.starts(with: Self.magic) else { throw .malformedCalibration("it does not begin as one") }
        var reader = VarintReader(bytes: bytes, offset: Self.magic.count)
        guard try reader.varint() == UInt64(names.count) else {
            throw .malformedCalibration("it is about other tensors")
        }
        self.init(names: names)
        for (index, name) in names.enumerated() {
            guard try reader.varint() == UInt64(name.utf8.count), reader.skip(name.utf8) else {
                throw .malformedCalibration("it is about another tensor where '\(name)' is expected")
            }
            histograms[index] = try Self.histogram(&reader)
        }
        guard reader.isAtEnd else { throw .malformedCalibration("bytes follow its end") }
    }

    static func histogram(_ reader: inout VarintReader) throws(CompressionError) -> ActivationHistogram {
        var histogram = ActivationHistogram()
        histogram.count = try reader.varint()
        guard histogram.count <= ActivationHistogram.largestCount else {
            throw .malformedCalibration("a count is too large")
        }
        if histogram.count == 0 { return histogram }
        histogram.minimum = Float(bitPattern: try reader.fixed(UInt32.self))
        histogram.maximum = Float(bitPattern: try reader.fixed(UInt32.self))
        histogram.sum = try reader.fixed(Int128.self)
        histogram.sumOfSquares = try reader.fixed(Int128.self)
        var total: UInt64 = 0
        var bin = -1
        let used = try reader.varint()
        guard (1...UInt64(histogram.counts.count)).contains(used) else {
            throw .malformedCalibration("a number of bins is wrong")
        }
        for _ in 0..<used {
            let gap = try reader.varint()
            guard gap >= 1, gap <= UInt64(histogram.counts.count - 1 - bin) else {
                throw .malformedCalibration("a bin is out of range")
            }
            bin += Int(gap)
            let count = try reader.varint()
            guard count >= 1, count <= histogram.count - total else {
                throw .malformedCalibration("bins do not add up")
            }
            histogram.counts[bin] = count
            total += count
        }
        guard total == histogram.count else { throw .malformedCalibration("bins do not add up") }
        guard histogram.isConsistent else {
            throw .malformedCalibration("a range or a sum does not belong to its bins")
        }
        return histogram
    }

    private static func append(_ value: UInt64, to bytes: inout [UInt8]) {
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }

    private static func append(fixed value: some FixedWidthInteger, to bytes: inout [UInt8]) {
        withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
    }
}

/// Reads LEB128 and fixed-width integers, never past the end.
struct VarintReader {
    let bytes: [UInt8]
    var offset: Int

    var isAtEnd: Bool { offset == bytes.count }

    /// Steps over `expected`; false when something else stands there.
    mutating func skip(_ expected: String.UTF8View) -> Bool {
        guard bytes[offset...].starts(with: expected) else { return false }
        offset += expected.count
        return true
    }

    /// The next `count` bytes.
    mutating func take(_ count: UInt64) throws(CompressionError) -> ArraySlice<UInt8> {
        guard count <= UInt64(bytes.count - offset) else { throw .malformedCalibration("it is cut short") }
        offset += Int(count)
        return bytes[offset - Int(count)..<offset]
    }

    mutating func varint() throws(CompressionError) -> UInt64 {
        var value: UInt64 = 0
        for shift in stride(from: UInt64(0), to: 64, by: 7) {
            guard offset < bytes.count else { throw .malformedCalibration("it is cut short") }
            let byte = bytes[offset]
            offset += 1
            guard shift < 63 || byte <= 1 else { break }
            value |= UInt64(byte & 0x7f) << shift
            if byte & 0x80 == 0 {
                // One value, one spelling: canonical bytes.
                guard byte != 0 || shift == 0 else { break }
                return value
            }
        }
        throw .malformedCalibration("a number is misspelt")
    }

    mutating func fixed<Value: FixedWidthInteger>(_ type: Value.Type) throws(CompressionError) -> Value {
        let size = MemoryLayout<Value>.size
        guard bytes.count - offset >= size else { throw .malformedCalibration("it is cut short") }
        var value: Value = 0
        for index in 0..<size { value |= Value(truncatingIfNeeded: bytes[offset + index]) << Value(8 * index) }
        offset += size
        return value
    }
}
