import CKernels

/// Rice codes (R. F. Rice 1979): a number v is v >> k ones, a zero, then its k low bits.
struct RiceCode {
    /// Positions have at most 31 bits.
    static let largestGapParameter = 30
    /// Sign-folded codes have at most 8 bits.
    static let largestValueParameter = 7

    let parameter: Int
    let bitCount: Int

    var byteCount: Int { (bitCount + 7) / 8 }
    /// With its parameter and length in front, as it stands in a record.
    var fieldByteCount: Int { 1 + varintByteCount(byteCount) + byteCount }

    /// The parameter with the fewest bits for `numbers`, exactly.
    init(best numbers: UnsafeBufferPointer<UInt32>, largestParameter: Int) {
        self.init(count: numbers.count, largestParameter: largestParameter) { k in
            Int(pleach_sum_shifted(numbers.baseAddress, numbers.count, UInt32(k)))
        }
    }

    /// The same for sign-folded codes. They take few values, so they are counted once instead of folded.
    init(bestForCodes codes: [Int8]) {
        var counts = [UInt32](repeating: 0, count: 256)
        pleach_count_codes(codes, codes.count, &counts)
        self.init(count: codes.count, largestParameter: Self.largestValueParameter) { k in
            (-128...127).reduce(0) { sum, code in
                let folded = code >= 0 ? 2 * code : -2 * code - 1
                return sum + Int(counts[code + 128]) * (folded >> k)
            }
        }
    }

    /// The cost n(1 + k) + Σ(v >> k) is convex in k, because Σ(v >> k) − Σ(v >> k+1) = Σ⌈(v >> k)/2⌉ falls with k; so
    /// the first rise ends the search, which starts near the logarithm of the mean.
    private init(count: Int, largestParameter: Int, sumShifted: (_ k: Int) -> Int) {
        func cost(_ k: Int) -> Int { count * (1 + k) + sumShifted(k) }
        let mean = count > 0 ? sumShifted(0) / count : 0
        var best = min(mean == 0 ? 0 : Int.bitWidth - 1 - mean.leadingZeroBitCount, largestParameter)
        var bits = cost(best)
        while best > 0, case let next = cost(best - 1), next <= bits { (best, bits) = (best - 1, next) }
        while best < largestParameter, case let next = cost(best + 1), next < bits { (best, bits) = (best + 1, next) }
        (parameter, bitCount) = (best, bits)
    }

    /// Appends parameter, length and stream.
    func write(_ numbers: UnsafeBufferPointer<UInt32>, to bytes: inout [UInt8]) {
        bytes.append(UInt8(parameter))
        bytes.appendVarint(byteCount)
        bytes += [UInt8](unsafeUninitializedCapacity: byteCount + 8) { buffer, filled in
            filled = pleach_rice_encode(numbers.baseAddress, numbers.count, UInt32(parameter), buffer.baseAddress)
        }
    }
}

func varintByteCount(_ value: Int) -> Int { max(1, (Int.bitWidth - value.leadingZeroBitCount + 6) / 7) }

/// A Rice stream being read: its place in the body, and how far the reading came.
struct RiceStream {
    let parameter: Int
    let range: Range<Int>
    private var cursor: UInt64 = 0

    /// Bytes that were read to their end.
    var byteOffset: Int { Int(cursor / 8) }

    init(parameter: Int, range: Range<Int>) {
        self.parameter = parameter
        self.range = range
    }

    /// Reads parameter and length. A stream longer than `byteLimit` would not pay, so it is refused.
    init(
        _ reader: inout ByteReader, _ field: String, largestParameter: Int, byteLimit: Int
    ) throws(CodecError) {
        parameter = Int(try reader.byte("the Rice parameter of \(field)"))
        guard parameter <= largestParameter else {
            throw reader.malformed("the Rice parameter of \(field)", "is \(parameter), above \(largestParameter)")
        }
        let count = try reader.varint("the length of \(field)", limit: byteLimit)
        range = try reader.range(count, field)
    }

    /// The next `count` numbers, none above `limit`.
    mutating func read(
        _ body: UnsafePointer<UInt8>, limit: Int, into out: UnsafeMutablePointer<UInt32>, count: Int
    ) throws(CodecError) {
        guard
            pleach_rice_decode(
                body + range.lowerBound, range.count, &cursor, UInt32(parameter), UInt32(limit), out, count)
        else {
            throw .malformed(field: "a Rice stream", offset: range.lowerBound, reason: "ends early or leaves its range")
        }
    }

    /// Checks that exactly the stream was used and that its spare bits are 0.
    func finish(_ body: UnsafePointer<UInt8>) throws(CodecError) {
        let spare = range.count * 8 - Int(cursor)
        guard spare < 8, spare == 0 || body[range.upperBound - 1] >> UInt8(8 - spare) == 0 else {
            throw .malformed(field: "a Rice stream", offset: range.lowerBound, reason: "is longer than its numbers")
        }
    }
}
