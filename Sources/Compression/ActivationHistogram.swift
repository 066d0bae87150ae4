import Tensors

/// A mergeable summary of one tensor's values: what a worker tells of its activations instead of the activations.
///
/// Bins are the same for everybody: per sign 2,048 bins, 64 to each power of two from 2^-16 to 2^16, taken from the bits
/// of the float (exponent and six mantissa bits), so binning is exact; what is smaller (0 too, as a positive value) falls
/// into the first bin, what is larger into the last. Sums are fixed-point integers (2^-20 and 2^-40). Everything adds as
/// integers, so merging is exact, associative and commutative: many workers give the same histogram, to the bit, as one
/// that holds all data.
public struct ActivationHistogram: Sendable, Equatable {
    public static let binsPerSign = 2048
    static let smallestExponent: Int32 = -16
    static let mantissaBits: UInt32 = 6
    /// The most values a histogram counts; 2^56 values of 2^30 still fit in `sum`.
    static let largestCount: UInt64 = 1 << 56
    /// Magnitudes from here on are refused.
    static let magnitudeLimit: Float = 0x1p30

    /// Counts by bin: negative values in 0..<2048, the others in 2048..<4096.
    public internal(set) var counts = [UInt64](repeating: 0, count: 2 * binsPerSign)
    public internal(set) var count: UInt64 = 0
    public internal(set) var minimum: Float = .infinity
    public internal(set) var maximum: Float = -.infinity
    /// Sum of values in units of 2^-20, each value rounded to such a unit.
    var sum: Int128 = 0
    /// Sum of the squares of those values in units of 2^-40. It stops at the largest number, which keeps merging
    /// order-free: a sum of non-negative numbers passes that bound in every order or in none.
    var sumOfSquares: Int128 = 0

    public init() {}

    public var mean: Double { count == 0 ? 0 : Double(sum) * 0x1p-20 / Double(count) }
    public var meanSquare: Double { count == 0 ? 0 : Double(sumOfSquares) * 0x1p-40 / Double(count) }

    /// Bin within a sign.
    static func bin(_ magnitudeBits: UInt32) -> Int {
        let first = Int32(127 + smallestExponent) << Int32(mantissaBits)
        let shifted = Int32(bitPattern: magnitudeBits >> (23 - mantissaBits))
        return Int(min(max(shifted - first, 0), Int32(binsPerSign - 1)))
    }

    /// Where a finite value is counted. Precondition: no negative zero.
    static func index(_ value: Float) -> Int {
        (value < 0 ? 0 : binsPerSign) + bin(value.bitPattern & 0x7fff_ffff)
    }

    /// A value in units of 2^-20, ties to even. Precondition: below `magnitudeLimit`.
    @inline(__always)
    static func fixedPoint(_ value: Float) -> Int64 {
        // Numbers near 1.5·2^52 are 1 apart, so the sum rounds and its low bits are the integer: unlike a conversion,
        // this is vectorised.
        let shift = 0x1.8p52
        return Int64(bitPattern: (Double(value) * 0x1p20 + shift).bitPattern) &- Int64(bitPattern: shift.bitPattern)
    }

    /// Magnitudes that fall into a bin: lower edge (0 for the first) and upper edge.
    static func edges(_ bin: Int) -> (lower: Double, upper: Double) {
        func edge(_ bin: Int) -> Double {
            let first = Int(127 + smallestExponent) << Int(mantissaBits)
            return Double(Float(bitPattern: UInt32(bin + first) << (23 - mantissaBits)))
        }
        return (bin == 0 ? 0 : edge(bin), edge(bin + 1))
    }

    /// Adds values.
    /// - Returns: false, with nothing added, when a value is not finite or at least 2^30 in magnitude.
    public mutating func add(_ values: UnsafeBufferPointer<Float>) -> Bool {
        // The loop has no early exit and so is vectorised; NaN fails the comparison.
        var isUsable = true
        for value in values where !(abs(value) < Self.magnitudeLimit) { isUsable = false }
        guard isUsable else { return false }
        precondition(UInt64(values.count) <= Self.largestCount - count, "\(count) values are counted already")
        counts.withUnsafeMutableBufferPointer { counts in
            // Adding 0 turns -0 into +0: which zero came first must not show.
            for value in values { counts[Self.index(value + 0)] &+= 1 }
        }
        // Pieces so short that their sums fit in 64 bits where squares are small.
        for start in stride(from: 0, to: values.count, by: 1024) {
            addMoments(UnsafeBufferPointer(rebasing: values[start..<min(start + 1024, values.count)]))
        }
        count += UInt64(values.count)
        return true
    }

    /// Adds at most 1,024 values to the sums and the range.
    private mutating func addMoments(_ values: UnsafeBufferPointer<Float>) {
        var (low, high) = (Float.infinity, -Float.infinity)
        var pieceSum: Int64 = 0
        for value in values {
            let value = value + 0
            low = value < low ? value : low
            high = value > high ? value : high
            pieceSum &+= Self.fixedPoint(value)
        }
        minimum = min(minimum, low)
        maximum = max(maximum, high)
        sum += Int128(pieceSum)
        var squares: Int128 = 0
        if max(abs(low), abs(high)) < 32 {
            // At most (2^25)² each.
            var pieceSquares: Int64 = 0
            for value in values {
                let fixed = Self.fixedPoint(value)
                pieceSquares &+= fixed &* fixed
            }
            squares = Int128(pieceSquares)
        } else {
            for value in values {
                let fixed = Int128(Self.fixedPoint(value))
                squares += fixed * fixed
            }
        }
        sumOfSquares = Self.saturatingSum(sumOfSquares, squares)
    }

    /// Adds another histogram.
    /// - Throws: when the total count exceeds 2^56.
    public mutating func merge(_ other: ActivationHistogram) throws(CompressionError) {
        guard other.count <= Self.largestCount - count else { throw .malformedCalibration("its totals overflow") }
        // Each bin is at most the total, which did not overflow.
        for index in counts.indices { counts[index] += other.counts[index] }
        count += other.count
        sum += other.sum
        sumOfSquares = Self.saturatingSum(sumOfSquares, other.sumOfSquares)
        minimum = min(minimum, other.minimum)
        maximum = max(maximum, other.maximum)
    }

    private static func saturatingSum(_ a: Int128, _ b: Int128) -> Int128 {
        let (total, overflow) = a.addingReportingOverflow(b)
        return overflow ? .max : total
    }

    /// Whether the figures can belong together, as those of a histogram from a file or the network must.
    var isConsistent: Bool {
        guard count > 0 else { return true }
        let limit = Self.magnitudeLimit
        guard abs(minimum) < limit, abs(maximum) < limit, minimum <= maximum, sumOfSquares >= 0 else { return false }
        // One spelling of zero.
        guard [minimum, maximum].allSatisfy({ $0 != 0 || $0.sign == .plus }) else { return false }
        let total = Int128(count)
        guard sum >= Int128(Self.fixedPoint(minimum)) * total, sum <= Int128(Self.fixedPoint(maximum)) * total else {
            return false
        }
        // Bins in order of value: negative ones from the largest magnitude down, then the others.
        let used = Self.orderedIndices.filter { counts[$0] > 0 }
        return used.first == Self.index(minimum) && used.last == Self.index(maximum)
    }

    /// Indices of `counts` by ascending value.
    static let orderedIndices = Array((0..<binsPerSign).reversed()) + Array(binsPerSign..<2 * binsPerSign)
}
