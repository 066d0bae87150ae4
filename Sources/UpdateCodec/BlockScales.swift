import CKernels
import Tensors

/// One binary16 scale per block, times a shared power of two.
struct BlockScales {
    let exponent: Int
    let block: Int
    /// Little-endian binary16, one for each block.
    let halves: [UInt8]

    /// 2^exponent.
    var factor: Float { SharedExponent.factor(exponent) }

    /// - Parameter needs: the scale each block needs, rounded up so that no code has to be clipped for it.
    init(needs: [Double], block: Int) {
        self.block = block
        exponent = SharedExponent.fitting(needs.max() ?? 0)
        let down = Double(sign: .plus, exponent: -exponent, significand: 1)
        var halves: [UInt8] = []
        halves.reserveCapacity(2 * needs.count)
        for need in needs {
            var half = Float16(need * down)
            if Double(half) < need * down { half = half.nextUp }
            let bits = half.bitPattern
            halves.append(UInt8(truncatingIfNeeded: bits))
            halves.append(UInt8(truncatingIfNeeded: bits >> 8))
        }
        self.halves = halves
    }
}

/// What one pass over a tensor's elements tells.
struct BlockSurvey {
    let block: Int
    /// The bit pattern of the largest magnitude of each block.
    private(set) var largestBits: [UInt32]
    /// The largest of all; infinite or NaN if any element is.
    private(set) var overallBits: UInt32 = 0
    private(set) var nonzero = 0

    var isFinite: Bool { overallBits < 0x7f80_0000 }
    /// Only where all is finite.
    var largest: Float { Float(bitPattern: overallBits) }

    init(_ values: UnsafeBufferPointer<Float>, block: Int, force: WorkForce) {
        self.block = block
        let blocks = (values.count + block - 1) / block
        let shares = force.shares(of: values.count, unit: block)
        var found: [(bits: UInt32, nonzero: Int)] = []
        largestBits = [UInt32](unsafeUninitializedCapacity: blocks) { largest, filled in
            let target = SharedPointer(largest.baseAddress)
            found = force.map(shares.count) { share in
                let start = shares[share].lowerBound
                var nonzero = 0
                let bits = pleach_block_survey(
                    values.baseAddress.map { $0 + start }, shares[share].count, block,
                    target.pointer.map { $0 + start / block }, &nonzero)
                return (bits, nonzero)
            }
            filled = blocks
        }
        for part in found {
            overallBits = max(overallBits, part.bits)
            nonzero += part.nonzero
        }
    }
}

/// A pointer that threads write through at places of their own.
struct SharedPointer<Element>: @unchecked Sendable {
    let pointer: UnsafeMutablePointer<Element>?

    init(_ pointer: UnsafeMutablePointer<Element>?) { self.pointer = pointer }
}
