import Tensors

/// A mergeable summary of one tensor's values: what a worker tells of its activations instead of the activations.
///
/// Bins are the same for everybody: per sign 2,048 bins, 64 to each power of two from 2^-16 to 2^16, taken from the bits
/// of the float (sign, exponent, six mantissa bits), so binning is exact; what is smaller falls into the first bin, what
/// is larger into the last. Sums are fixed-point integers (2^-20 and 2^-40). Everything adds as integers, so merging is
/// exact, associative and commutative: many workers give the same histogram, to the bit, as one holding all data.
public struct ActivationHistogram: Sendable, Equatable {
    public static let binsPerSign = 2048
    static let smallestExponent: Int32 = -16
    static let mantissaBits: UInt32 = 6

    /// Counts by bin: negative values in 0..<2048, the others in 2048..<4096.
    public internal(set) var counts = [UInt64](repeating: 0, count: 2 * binsPerSign)
    public internal(set) var count: UInt64 = 0
    public internal(set) var minimum: Float = .infinity
    public internal(set) var maximum: Float = -.infinity
    /// Sum of values in units of 2^-20.
    var sum: Int128 = 0
    /// Sum of squares in units of 2^-40.
    var sumOfSquares: Int128 = 0

    public init() {}

    public var mean: Double { count == 0 ? 0 : Double(sum) * 0x1p-20 / Double(count) }
    public var meanSquare: Double { count == 0 ? 0 : Double(sumOfSquares) * 0x1p-40 / Double(count) }

    /// Bin within a sign.
    static func bin(_ magnitudeBits: UInt32) -> Int {
        let shifted = Int(magnitudeBits >> (23 - mantissaBits))
        let first = Int(127 + smallestExponent) << Int(mantissaBits)
        return min(max(shifted - first, 0), binsPerSign - 1)
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
        guard values.allSatisfy({ abs($0) < 0x1p30 }) else { return false }
        for value in values {
            let bits = value.bitPattern
            let half = bits >> 31 == 0 || value == 0 ? Self.binsPerSign : 0
            counts[half + Self.bin(bits & 0x7fff_ffff)] += 1
            let fixed = Int64((Double(value) * 0x1p20).rounded(.toNearestOrEven))
            sum += Int128(fixed)
            sumOfSquares += Int128(fixed) * Int128(fixed)
            minimum = min(minimum, value)
            maximum = max(maximum, value)
        }
        count += UInt64(values.count)
        return true
    }

    /// Adds another histogram.
    /// - Throws: when a total overflows, which honest histograms cannot.
    public mutating func merge(_ other: ActivationHistogram) throws(CompressionError) {
        let (total, overflow) = count.addingReportingOverflow(other.count)
        let (sum, sumOverflow) = sum.addingReportingOverflow(other.sum)
        let (squares, squaresOverflow) = sumOfSquares.addingReportingOverflow(other.sumOfSquares)
        guard !overflow, !sumOverflow, !squaresOverflow else { throw .malformedCalibration("its totals overflow") }
        // Each bin is at most the total, which did not overflow.
        for index in counts.indices { counts[index] += other.counts[index] }
        count = total
        self.sum = sum
        sumOfSquares = squares
        minimum = min(minimum, other.minimum)
        maximum = max(maximum, other.maximum)
    }
}
