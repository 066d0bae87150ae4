import CKernels

/// Rice codes (R. F. Rice 1979) in segments, each with a parameter of its own: a number v is v >> k in unary and its k low
/// bits. The two lie apart, because then neither has to wait for the other.
enum RiceCode {
    /// Numbers of a segment; also values of a run, so the two never fall apart.
    static let segmentLength = 4096
    /// Positions have at most 31 bits.
    static let largestGapParameter = 30
    /// Sign-folded codes have at most 8 bits.
    static let largestValueParameter = 7

    /// What a segment of `count` numbers takes with one parameter.
    struct Segment: Equatable {
        let parameter: Int
        let quotientByteCount: Int
        let byteCount: Int

        init(count: Int, parameter: Int, sumOfQuotients: Int) {
            self.parameter = parameter
            quotientByteCount = (sumOfQuotients + count + 7) / 8
            byteCount = 1 + varintByteCount(quotientByteCount) + (count * parameter + 7) / 8 + quotientByteCount
        }

        /// The cost n(1 + k) + Σ(v >> k) is convex in k, because Σ(v >> k) − Σ(v >> k+1) = Σ⌈(v >> k)/2⌉ falls with k; so
        /// the first rise ends the search, which starts near the logarithm of the mean.
        init(best count: Int, largestParameter: Int, sumShifted: (_ k: Int) -> Int) {
            let mean = count > 0 ? sumShifted(0) / count : 0
            var k = min(mean == 0 ? 0 : Int.bitWidth - 1 - mean.leadingZeroBitCount, largestParameter)
            var sum = sumShifted(k)
            while k > 0, case let next = sumShifted(k - 1), next <= sum + count { (k, sum) = (k - 1, next) }
            while k < largestParameter, case let next = sumShifted(k + 1), next + count < sum {
                (k, sum) = (k + 1, next)
            }
            self.init(count: count, parameter: k, sumOfQuotients: sum)
        }
    }

    static func segmentCount(_ count: Int) -> Int { (count + segmentLength - 1) / segmentLength }

    /// The stream of some numbers.
    static func encode(
        _ numbers: UnsafeBufferPointer<UInt32>, largestParameter: Int, force: WorkForce
    ) -> [UInt8] {
        var stream: [UInt8] = []
        append(count: numbers.count, force: force, to: &stream) { (range, bytes) in
            let part = UnsafeBufferPointer(rebasing: numbers[range])
            let segment = Segment(best: part.count, largestParameter: largestParameter) {
                Int(pleach_sum_shifted(part.baseAddress, part.count, UInt32($0)))
            }
            bytes.append(segment) {
                pleach_rice_encode(part.baseAddress, part.count, UInt32(segment.parameter), $0)
            }
        }
        return stream
    }

    /// The segment that codes some folded codes best.
    static func segment(of folded: UnsafeBufferPointer<UInt8>) -> Segment {
        Segment(best: folded.count, largestParameter: largestValueParameter) {
            Int(pleach_sum_shifted_bytes(folded.baseAddress, folded.count, UInt32($0)))
        }
    }

    static func append(_ folded: UnsafeBufferPointer<UInt8>, to bytes: inout [UInt8]) {
        let segment = segment(of: folded)
        bytes.append(segment) {
            pleach_rice_encode_bytes(folded.baseAddress, folded.count, UInt32(segment.parameter), $0)
        }
    }

    /// Appends the stream of `count` numbers, of which `code` codes a segment at a time.
    static func append(
        count: Int, force: WorkForce, to bytes: inout [UInt8],
        _ code: (_ range: Range<Int>, _ bytes: inout [UInt8]) -> Void
    ) {
        func append(_ share: Range<Int>, to bytes: inout [UInt8]) {
            for start in stride(from: share.lowerBound, to: share.upperBound, by: segmentLength) {
                code(start..<min(start + segmentLength, share.upperBound), &bytes)
            }
        }
        let shares = force.shares(of: count, unit: segmentLength)
        guard shares.count > 1 else { return append(0..<count, to: &bytes) }
        let parts = force.map(shares.count) { share in
            var part: [UInt8] = []
            append(shares[share], to: &part)
            return part
        }
        for part in parts { bytes += part }
    }
}

extension [UInt8] {
    /// Appends a segment's head and what `write` puts behind it.
    fileprivate mutating func append(_ segment: RiceCode.Segment, _ write: (UnsafeMutablePointer<UInt8>) -> Int) {
        let start = count
        append(UInt8(segment.parameter))
        appendVarint(segment.quotientByteCount)
        let place = count
        // The kernels write whole words.
        let slack = 64
        append(contentsOf: repeatElement(0, count: segment.byteCount - (place - start) + slack))
        withUnsafeMutableBufferPointer { bytes in
            guard let first = bytes.baseAddress else { return }
            let written = write(first + place)
            precondition(written == segment.quotientByteCount, "a Rice segment has another size than was counted")
        }
        removeLast(slack)
    }
}

func varintByteCount(_ value: Int) -> Int { max(1, (Int.bitWidth - value.leadingZeroBitCount + 6) / 7) }

/// A Rice stream that was found in a body: where it lies, and where reading can begin.
struct RiceStream: Sendable, Equatable {
    /// Segments between two places where reading can begin.
    static let segmentsPerEntry = 64

    let count: Int
    let range: Range<Int>
    /// The place of every 64th segment.
    let entries: [Int]

    static let none = RiceStream()

    private init() { (count, range, entries) = (0, 0..<0, []) }

    /// Passes over the stream of `count` numbers. One longer than `byteLimit` would not pay, so it is refused.
    init(
        _ reader: inout ByteReader, _ field: String, count: Int, largestParameter: Int, byteLimit: Int
    ) throws(CodecError) {
        let start = reader.offset
        var entries: [Int] = []
        for number in 0..<RiceCode.segmentCount(count) {
            if number % Self.segmentsPerEntry == 0 { entries.append(reader.offset) }
            let parameter = Int(try reader.byte("the Rice parameter of \(field)"))
            guard parameter <= largestParameter else {
                throw reader.malformed("the Rice parameter of \(field)", "is \(parameter), above \(largestParameter)")
            }
            let length = try reader.varint("the length of \(field)", limit: byteLimit)
            let numbers = min(RiceCode.segmentLength, count - number * RiceCode.segmentLength)
            _ = try reader.range((numbers * parameter + 7) / 8 + length, field)
            guard reader.offset - start <= byteLimit else {
                throw reader.malformed(field, "take more than \(byteLimit) bytes, so they should not be Rice-coded")
            }
        }
        self.count = count
        range = start..<reader.offset
        self.entries = entries
    }

    /// Reads from segment `number` on, a multiple of `segmentsPerEntry`.
    func cursor(at number: Int = 0) -> RiceCursor {
        RiceCursor(offset: number == 0 ? range.lowerBound : entries[number / Self.segmentsPerEntry])
    }
}

/// A place in a Rice stream, at the start of a segment. The stream was passed over before, so heads and bounds are right.
struct RiceCursor {
    var offset: Int

    /// The next segment, of `count` numbers none of which is above `limit`.
    mutating func read(
        _ body: UnsafePointer<UInt8>, limit: Int, into out: UnsafeMutablePointer<UInt32>, count: Int
    ) throws(CodecError) {
        try next(body, count) { remainders, quotients, length, parameter in
            pleach_rice_decode(remainders, quotients, length, parameter, UInt32(limit), out, count)
        }
    }

    mutating func read(
        _ body: UnsafePointer<UInt8>, limit: Int, into out: UnsafeMutablePointer<UInt8>, count: Int
    ) throws(CodecError) {
        try next(body, count) { remainders, quotients, length, parameter in
            pleach_rice_decode_bytes(remainders, quotients, length, parameter, UInt32(limit), out, count)
        }
    }

    private mutating func next(
        _ body: UnsafePointer<UInt8>, _ count: Int,
        _ decode: (UnsafePointer<UInt8>, UnsafePointer<UInt8>, Int, UInt32) -> Bool
    ) throws(CodecError) {
        let parameter = Int(body[offset])
        var place = offset + 1
        var length = 0
        var shift = 0
        while true {
            let byte = Int(body[place])
            length |= (byte & 0x7f) << shift
            place += 1
            shift += 7
            if byte < 0x80 { break }
        }
        let quotients = place + (count * parameter + 7) / 8
        guard decode(body + place, body + quotients, length, UInt32(parameter)) else {
            throw .malformed(
                field: "a Rice stream", offset: offset, reason: "has not exactly its numbers, or one out of range")
        }
        offset = quotients + length
    }
}
