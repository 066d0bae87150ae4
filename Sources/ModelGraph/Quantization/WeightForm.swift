/// What a weight is asked to become, before any code is known.
public struct WeightForm: Sendable, Equatable {
    public let bits: Int
    public let hasZeroPoints: Bool
    /// Weights that share a scale; nil where a channel does.
    public let blockSize: Int?
    public let hasCodebook: Bool

    public init(bits: Int, hasZeroPoints: Bool = false, blockSize: Int? = nil, hasCodebook: Bool = false) {
        (self.bits, self.hasZeroPoints) = (bits, hasZeroPoints)
        (self.blockSize, self.hasCodebook) = (blockSize, hasCodebook)
    }
}

extension DeploymentTarget {
    /// What about a weight it cannot hold, and what to do; nil where it can. `what` goes on behind "weights", `mend` is an advice.
    /// - Parameters:
    ///   - isMatrix: whether products multiply by it, and not convolutions.
    ///   - opset: of the file.
    public func refusal(of form: WeightForm, isMatrix: Bool, opset: Int64) -> (what: String, mend: String)? {
        switch self {
        case .x86, .x86NoVNNI, .arm, .tensorrt, .dynamic:
            if form.hasZeroPoints { return ("with zero points", "quantize it symmetrically") }
            if form.blockSize != nil { return ("in blocks", "give it one scale a channel") }
            if form.hasCodebook, self == .tensorrt { return ("with a codebook", "use uniform steps") }
            if self == .x86NoVNNI, form.bits > 7 {
                return ("of \(form.bits) bits", "give it at most 7: its kernels add products in 16 bits")
            }
        case .int4:
            if form.bits > 4 { return ("of \(form.bits) bits", "give it at most 4") }
            if form.hasCodebook { return ("with a codebook", "use uniform steps") }
        case .int8Weights: break
        case .float32, .float16, .bfloat16: return ("in integers", "choose a target of integers")
        }
        guard let size = form.blockSize else { return nil }
        if form.hasCodebook { return ("with a codebook in blocks", "give it one scale a channel") }
        guard isMatrix else { return ("in blocks", "give a convolution one scale a channel") }
        guard opset >= 21 else { return ("in blocks at opset \(opset)", "write opset 21 or newer") }
        guard size >= 16, size & (size - 1) == 0 else {
            return ("in blocks of \(size)", "use a power of two of at least 16")
        }
        return nil
    }
}
