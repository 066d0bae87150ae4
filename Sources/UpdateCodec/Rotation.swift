import CKernels
import Tensors

/// The random rotation before values of few bits: signs from a seed, then a Walsh-Hadamard transform of each chunk. It makes
/// any values look normally distributed, so a few levels fit all (Vargaftik et al. 2021, "DRIVE", section 3; Suresh et al.
/// 2017, "Distributed mean estimation with limited communication", section 3).
struct Rotation: Sendable, Equatable {
    static let chunkBits = 12
    static let chunkLength = 1 << chunkBits

    let seed: UInt64

    /// H·D·x, not normalised: the block scales take care of the length.
    func rotate(_ x: UnsafeMutableBufferPointer<Float>, force: WorkForce) {
        let shares = force.shares(of: x.count, unit: Self.chunkLength)
        let target = SharedPointer(x.baseAddress)
        _ = force.map(shares.count) { share in
            forEachChunk(in: shares[share]) { start, bits in
                guard let chunk = target.pointer.map({ $0 + start }) else { return }
                pleach_random_signs(chunk, 1 << bits, seed, UInt64(start), 1)
                pleach_hadamard(chunk, UInt32(bits))
            }
        }
    }

    /// D·H·y / length, the inverse, for values number `first`, a multiple of 4,096, and what follows.
    func restore(_ y: UnsafeMutableBufferPointer<Float>, first: Int) {
        guard let target = y.baseAddress else { return }
        forEachChunk(in: first..<first + y.count) { start, bits in
            let chunk = target + (start - first)
            pleach_hadamard(chunk, UInt32(bits))
            let factor = Float(sign: .plus, exponent: -bits, significand: 1)
            pleach_random_signs(chunk, 1 << bits, seed, UInt64(start), factor)
        }
    }

    /// Chunks of 4,096, the rest in powers of two, the largest first. A range begins at a multiple of 4,096.
    private func forEachChunk(in range: Range<Int>, _ visit: (_ start: Int, _ bits: Int) -> Void) {
        var start = range.lowerBound
        while start < range.upperBound {
            let rest = min(range.upperBound - start, Self.chunkLength)
            let bits = Int.bitWidth - 1 - rest.leadingZeroBitCount
            visit(start, bits)
            start += 1 << bits
        }
    }
}
