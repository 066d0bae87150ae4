extension ValueFormat {
    /// The largest code of the integer formats, 0 for others.
    var levels: Int {
        switch self {
        case .int8: 127
        case .int6: 31
        case .int4: 7
        case .int3: 3
        case .int2: 1
        case .float32, .float16, .bfloat16, .ternary, .sign, .codebook16, .codebook256: 0
        }
    }

    /// Whether levels lie half a step beside the integers.
    var hasHalfSteps: Bool { self == .int2 }

    /// Whether a code is an integer times the block's scale.
    var isInteger: Bool { levels > 0 }

    /// Whether a bit stands for the sign of the block's magnitude.
    var isSigns: Bool { self == .ternary || self == .sign }

    /// The most levels a codebook has, 0 for other formats.
    public var codebookSize: Int {
        switch self {
        case .codebook16: 16
        case .codebook256: 256
        default: 0
        }
    }

    /// Bits of one plain value, scales aside.
    var bitCount: Int {
        switch self {
        case .float32: 32
        case .float16, .bfloat16: 16
        case .int8, .codebook256: 8
        case .int6: 6
        case .int4, .codebook16: 4
        case .int3: 3
        case .int2: 2
        case .ternary, .sign: 1
        }
    }

    var hasScales: Bool { rawValue >= ValueFormat.int8.rawValue }
    var hasExponent: Bool { self != .float32 && self != .bfloat16 }
    var takesRice: Bool { isInteger && !hasHalfSteps }
    public var takesRotation: Bool { hasScales && bitCount <= 4 }

    /// Bytes of `count` plain values. Precondition: no overflow, which the element limit ensures.
    func plainByteCount(_ count: Int) -> Int { (count * bitCount + 7) / 8 }

    var name: String {
        switch self {
        case .float32: "f32"
        case .float16: "f16"
        case .bfloat16: "bf16"
        default: String(describing: self)
        }
    }
}

/// binary16 numbers times a power of two that all numbers of a tensor share, so 16 bits serve any magnitude.
enum SharedExponent {
    /// Every binary16 times 2^e is exact in float32 for these e.
    static let range = -125...112
    /// Larger magnitudes are sent as float32.
    static let largestMagnitude: Float = 0x1p120
    /// The same before a rotation, which adds up to 4,096 values, and whose inverse adds as many again, rounded up.
    static let largestRotated: Float = 0x1p103

    /// Puts `largest` into [2^14, 2^15), near the top of binary16. Precondition: 0 <= largest <= 2^120.
    static func fitting(_ largest: Double) -> Int {
        guard largest > 0 else { return 0 }
        return min(max(Int(largest.exponent) - 14, range.lowerBound), range.upperBound)
    }

    static func factor(_ exponent: Int) -> Float { Float(sign: .plus, exponent: exponent, significand: 1) }
}
