import CKernels

/// Exact selection of the elements largest in magnitude, in O(n), ties going to the lower index.
enum MagnitudeSelection {
    /// Indices, ascending, of the `count` largest |x|; zeros are never taken, so there can be fewer.
    ///
    /// A radix select: bit patterns of |x| order like |x|, so three histograms (of 11, 11 and 9 bits) find the smallest
    /// pattern taken and how many of its ties.
    static func largest(_ count: Int, of values: UnsafeBufferPointer<Float>) -> [UInt32] {
        let nonzero = pleach_count_nonzero(values.baseAddress, values.count)
        let wanted = min(count, nonzero)
        guard wanted > 0 else { return [] }
        if wanted == nonzero { return above(0, ties: 0, count: wanted, of: values) }
        var bins = [UInt32](repeating: 0, count: 2048)
        var prefix: UInt32 = 0
        var missing = wanted
        // Patterns have 31 bits: [20, 31), [9, 20), and the last step sees bit 9, already fixed, beside [0, 9).
        for (shift, digits) in [(20, 11), (9, 11), (0, 9)] as [(UInt32, UInt32)] {
            let known = shift == 0 ? prefix >> 2 : prefix
            bins.withUnsafeMutableBufferPointer {
                pleach_magnitude_histogram(values.baseAddress, values.count, shift, known, $0.baseAddress)
            }
            // In the last step the two upper digits of a bin repeat the end of `prefix`.
            let first = shift == 0 ? Int(prefix & 3) << 9 : 0
            var bin = first + (1 << Int(digits)) - 1
            while bins[bin] < missing {
                missing -= Int(bins[bin])
                bin -= 1
            }
            prefix = prefix << digits | UInt32(bin - first)
        }
        return above(prefix, ties: missing, count: wanted, of: values)
    }

    /// Indices of |x| > `threshold` (not for NaN).
    static func above(magnitude threshold: Float, of values: UnsafeBufferPointer<Float>) -> [UInt32] {
        above(threshold.bitPattern, ties: 0, count: values.count, of: values)
    }

    /// Indices of all nonzero elements.
    static func nonzero(_ values: UnsafeBufferPointer<Float>) -> [UInt32] {
        above(0, ties: 0, count: pleach_count_nonzero(values.baseAddress, values.count), of: values)
    }

    private static func above(
        _ threshold: UInt32, ties: Int, count: Int, of values: UnsafeBufferPointer<Float>
    ) -> [UInt32] {
        [UInt32](unsafeUninitializedCapacity: count + 1) { buffer, filled in
            filled = pleach_select(values.baseAddress, values.count, threshold, ties, buffer.baseAddress)
        }
    }
}
