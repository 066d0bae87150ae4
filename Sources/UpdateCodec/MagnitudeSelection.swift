import CKernels
import Tensors

/// Selection of the elements largest in magnitude: ranks, ascending, and their values. Zeros are never taken.
struct MagnitudeSelection {
    var ranks: [UInt32] = []
    var values: [Float] = []

    /// Exactly the `count` largest, ties going to the lower index, in O(n).
    ///
    /// A sample tells a threshold that somewhat more than `count` elements reach; those are gathered in one pass, and a
    /// radix select among them finds the rest. Where the sample was wrong, all elements are searched.
    static func largest(
        _ count: Int, of values: UnsafeBufferPointer<Float>, force: WorkForce = .alone
    ) -> MagnitudeSelection {
        let sampled = magnitudeThreshold(values, aiming: count, step: sampleStep(values.count), isCautious: true)
        var candidates = reaching(sampled, of: values, expecting: count + count / 2 + 4096, force: force)
        if candidates.ranks.count < count, sampled > 1 {
            // The sample misled: a histogram of all tells for certain.
            let counted = magnitudeThreshold(values, aiming: count, step: 1, isCautious: true)
            candidates = reaching(counted, of: values, expecting: 2 * count + 4096, force: force)
        }
        return candidates.largest(count)
    }

    /// About the `count` largest magnitudes, found by a threshold out of a sample (as Lin et al. 2018 do): one pass, and
    /// nothing is sorted.
    static func aboveSampledThreshold(
        _ count: Int, of values: UnsafeBufferPointer<Float>, force: WorkForce = .alone
    ) -> MagnitudeSelection {
        let threshold = magnitudeThreshold(values, aiming: count, step: sampleStep(values.count), isCautious: false)
        return reaching(threshold, of: values, expecting: count + count / 2 + 4096, force: force)
    }

    /// The largest of each block of 4,096, as many as `blocks` says, or fewer where a block has not so many but zeros.
    static func largestOfBlocks(
        _ blocks: PositionBlocks, of values: UnsafeBufferPointer<Float>, force: WorkForce = .alone
    ) -> MagnitudeSelection {
        let shares = force.shares(of: values.count, unit: PositionBlocks.size)
        let parts = force.map(shares.count) { share in
            var part = MagnitudeSelection()
            let end = shares[share].upperBound
            for start in stride(from: shares[share].lowerBound, to: end, by: PositionBlocks.size) {
                let block = UnsafeBufferPointer(rebasing: values[start..<min(start + PositionBlocks.size, end)])
                part.append(
                    largestOfBlock(
                        block.count == PositionBlocks.size ? blocks.perBlock : blocks.inLastBlock, of: block),
                    from: start)
            }
            return part
        }
        return joined(parts)
    }

    /// All whose |x| is above `threshold` (not for NaN).
    static func above(
        magnitude threshold: Float, of values: UnsafeBufferPointer<Float>, expecting count: Int,
        force: WorkForce = .alone
    ) -> MagnitudeSelection {
        reaching(threshold.magnitude.bitPattern + 1, of: values, expecting: count, force: force)
    }

    /// All that are not zero.
    static func nonzero(
        of values: UnsafeBufferPointer<Float>, expecting count: Int, force: WorkForce = .alone
    ) -> MagnitudeSelection {
        reaching(1, of: values, expecting: count, force: force)
    }

    // MARK: Passes

    private mutating func append(_ other: MagnitudeSelection, from start: Int) {
        ranks += other.ranks.map { $0 + UInt32(start) }
        values += other.values
    }

    private static func joined(_ parts: [MagnitudeSelection]) -> MagnitudeSelection {
        guard parts.count > 1 else { return parts.first ?? MagnitudeSelection() }
        var all = MagnitudeSelection()
        all.ranks.reserveCapacity(parts.reduce(0) { $0 + $1.ranks.count })
        all.values.reserveCapacity(parts.reduce(0) { $0 + $1.values.count })
        for part in parts {
            all.ranks += part.ranks
            all.values += part.values
        }
        return all
    }

    /// All whose |x| has at least the bit pattern `threshold`, which is at least 1.
    private static func reaching(
        _ threshold: UInt32, of values: UnsafeBufferPointer<Float>, expecting count: Int, force: WorkForce
    ) -> MagnitudeSelection {
        let shares = force.shares(of: values.count, unit: RiceCode.segmentLength)
        return joined(
            force.map(shares.count) { share in
                collect(
                    threshold, of: UnsafeBufferPointer(rebasing: values[shares[share]]),
                    from: shares[share].lowerBound, expecting: min(shares[share].count, count / shares.count + 4096))
            })
    }

    private static func collect(
        _ threshold: UInt32, of values: UnsafeBufferPointer<Float>, from start: Int, expecting count: Int
    ) -> MagnitudeSelection {
        // The kernel writes a little beyond what it found.
        let slack = 64
        var capacity = count
        while true {
            var found = 0
            var picked: [Float] = []
            var ranks = [UInt32](unsafeUninitializedCapacity: capacity + slack) { ranks, filled in
                LargePages.advise(ranks.baseAddress, byteCount: 4 * capacity)
                picked = [Float](unsafeUninitializedCapacity: capacity + slack) { picked, filled in
                    LargePages.advise(picked.baseAddress, byteCount: 4 * capacity)
                    found = pleach_collect(
                        values.baseAddress, values.count, threshold, capacity, ranks.baseAddress, picked.baseAddress)
                    filled = min(found, capacity)
                }
                filled = min(found, capacity)
            }
            if found <= capacity {
                if start > 0 { for index in ranks.indices { ranks[index] += UInt32(start) } }
                return MagnitudeSelection(ranks: ranks, values: picked)
            }
            capacity = found
        }
    }

    /// About 2^18 elements are looked at.
    private static func sampleStep(_ count: Int) -> Int { max(1, count >> 18) }

    /// A bit pattern, at least 1, that about `count` magnitudes reach as far as one of each `step` tells, or with caution
    /// somewhat more; with caution and a step of 1 never fewer (unless they are 0).
    private static func magnitudeThreshold(
        _ values: UnsafeBufferPointer<Float>, aiming count: Int, step: Int, isCautious: Bool
    ) -> UInt32 {
        guard count < values.count else { return 1 }
        var bins = [UInt32](repeating: 0, count: 2048)
        pleach_sample_magnitudes(values.baseAddress, values.count, step, &bins)
        var missing = Double(count) / Double(step)
        // Four standard deviations of such a count.
        if isCautious, step > 1 { missing += 4 * missing.squareRoot() + 1 }
        for bin in stride(from: 2047, through: 0, by: -1) {
            let here = Double(bins[bin])
            if here >= missing {
                // Within a bin the larger magnitudes are the rarer ones.
                let share = isCautious ? (step == 1 ? 1 : min(1, missing / here * 1.125)) : missing / here
                return max(1, UInt32((Double(bin + 1) - share) * Double(1 << 20)))
            }
            missing -= here
        }
        return 1
    }

    // MARK: Radix select

    private static func largestOfBlock(_ count: Int, of block: UnsafeBufferPointer<Float>) -> MagnitudeSelection {
        let pattern = pattern(ofLargest: count, in: block)
        let ranks = [UInt32](unsafeUninitializedCapacity: count + 1) { buffer, filled in
            let ties = pattern.threshold == 0 ? 0 : pattern.ties
            filled = pleach_select(block.baseAddress, block.count, pattern.threshold, ties, buffer.baseAddress)
        }
        return MagnitudeSelection(ranks: ranks, values: ranks.map { block[Int($0)] })
    }

    /// The `count` largest of those selected.
    private func largest(_ count: Int) -> MagnitudeSelection {
        guard count < ranks.count else { return self }
        return values.withUnsafeBufferPointer { values in
            let chosen = Self.largestOfBlock(count, of: values)
            return MagnitudeSelection(ranks: chosen.ranks.map { ranks[Int($0)] }, values: chosen.values)
        }
    }

    /// The smallest bit pattern among the `count` largest magnitudes, and how many of its ties are among them.
    ///
    /// Bit patterns of |x| order like |x|, so three histograms (of 11, 11 and 9 bits) find it. 0 <= count <= values.count.
    private static func pattern(
        ofLargest count: Int, in values: UnsafeBufferPointer<Float>
    ) -> (threshold: UInt32, ties: Int) {
        guard count > 0 else { return (UInt32.max, 0) }
        var bins = [UInt32](repeating: 0, count: 2048)
        var prefix: UInt32 = 0
        var missing = count
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
        return (prefix, missing)
    }
}
