import CKernels

extension ValueFormat {
    /// The largest code of the integer formats.
    var levels: Int {
        switch self {
        case .int8: 127
        case .int4: 7
        case .float32, .float16, .ternary: 0
        }
    }

    /// Bits of one plain value, scales aside.
    var bitCount: Int {
        switch self {
        case .float32: 32
        case .float16: 16
        case .int8: 8
        case .int4: 4
        case .ternary: 1
        }
    }

    var hasScales: Bool { levels > 0 || self == .ternary }

    /// Bytes of `count` plain values. Precondition: no overflow, which the element limit ensures.
    func plainByteCount(_ count: Int) -> Int { (count * bitCount + 7) / 8 }

    var name: String {
        switch self {
        case .float32: "f32"
        case .float16: "f16"
        case .int8: "int8"
        case .int4: "int4"
        case .ternary: "ternary"
        }
    }
}

/// binary16 numbers times a power of two that all numbers of a tensor share, so 16 bits serve any magnitude.
enum SharedExponent {
    /// Every binary16 times 2^e is exact in float32 for these e.
    static let range = -125...112
    /// Larger magnitudes are sent as float32.
    static let largestMagnitude: Float = 0x1p120

    /// Puts `largest` into [2^14, 2^15), near the top of binary16. Precondition: 0 <= largest <= 2^120.
    static func fitting(_ largest: Double) -> Int {
        guard largest > 0 else { return 0 }
        return min(max(Int(largest.exponent) - 14, range.lowerBound), range.upperBound)
    }

    static func factor(_ exponent: Int) -> Float { Float(sign: .plus, exponent: exponent, significand: 1) }
}

/// Turns values into the bytes of a record. Values are finite.
struct ValueCoder {
    var format: ValueFormat
    var blockSize: Int
    var rounding: Rounding
    /// Start of the random stream of stochastic rounding.
    var counter: UInt64

    func code(_ values: UnsafeBufferPointer<Float>) -> CodedValues {
        let largest = Float(bitPattern: pleach_absmax_bits(values.baseAddress, values.count))
        if largest > SharedExponent.largestMagnitude { return CodedValues(format: .float32) }
        switch format {
        case .float32: return CodedValues(format: .float32)
        case .float16: return float16(values, largest: largest)
        case .int8, .int4: return integers(values)
        case .ternary: return signs(values)
        }
    }

    private func float16(_ values: UnsafeBufferPointer<Float>, largest: Float) -> CodedValues {
        let exponent = SharedExponent.fitting(Double(largest))
        var coded = CodedValues(format: .float16, head: [UInt8(bitPattern: Int8(exponent))], exponent: exponent)
        coded.plain = [UInt8](unsafeUninitializedCapacity: 2 * values.count) { buffer, filled in
            pleach_to_half(values.baseAddress, values.count, SharedExponent.factor(-exponent), buffer.baseAddress)
            filled = 2 * values.count
        }
        return coded
    }

    private func integers(_ values: UnsafeBufferPointer<Float>) -> CodedValues {
        let scales = BlockScales(values, block: blockSize) { block in
            let largest = Float(bitPattern: pleach_absmax_bits(block.baseAddress, block.count))
            return Double(largest) / Double(format.levels)
        }
        var coded = CodedValues(format: format, scales)
        coded.codes = [Int8](unsafeUninitializedCapacity: values.count) { buffer, filled in
            var start = 0
            for (number, scale) in scales.values.enumerated() {
                let count = min(blockSize, values.count - start)
                let inverse = scale > 0 ? 1 / Double(scale) : 0
                let source = values.baseAddress.map { $0 + start }
                let target = buffer.baseAddress.map { $0 + start }
                switch rounding {
                case .nearest: pleach_quantize(source, count, inverse, Double(format.levels), target)
                case .stochastic:
                    pleach_quantize_stochastic(
                        source, count, inverse, Double(format.levels), counter, UInt64(number * blockSize), target)
                }
                start += count
            }
            filled = values.count
        }
        coded.rice = rice(for: coded.codes)
        return coded
    }

    /// Plain or Rice, whichever is smaller; int8 only when Rice saves an eighth, because it reads several times slower.
    private func rice(for codes: [Int8]) -> RiceCode? {
        let plainCount = format.plainByteCount(codes.count)
        let rice = RiceCode(bestForCodes: codes)
        return rice.fieldByteCount < (format == .int8 ? plainCount - plainCount / 8 : plainCount) ? rice : nil
    }

    private func signs(_ values: UnsafeBufferPointer<Float>) -> CodedValues {
        let scales = BlockScales(values, block: blockSize) { block in
            pleach_sum_abs(block.baseAddress, block.count) / Double(block.count)
        }
        var coded = CodedValues(format: .ternary, scales)
        coded.plain = [UInt8](repeating: 0, count: (values.count + 7) / 8)
        pleach_sign_bits(values.baseAddress, values.count, &coded.plain)
        return coded
    }
}

extension CodedValues {
    fileprivate init(format: ValueFormat, _ scales: BlockScales) {
        self.init(
            format: format, head: scales.bytes, scales: scales.halves, blockSize: scales.block,
            exponent: scales.exponent)
    }
}

/// One binary16 scale per block, times a shared power of two.
private struct BlockScales {
    let exponent: Int
    let block: Int
    /// What the receiver computes: half · 2^exponent, exact in float32.
    var values: [Float] = []
    /// Little-endian binary16.
    var halves: [UInt8] = []

    /// - Parameter measure: the scale a block needs. It is rounded up, so that no code has to be clipped.
    init(
        _ values: UnsafeBufferPointer<Float>, block: Int, measure: (UnsafeBufferPointer<Float>) -> Double
    ) {
        self.block = block
        let needs = stride(from: 0, to: values.count, by: block).map { start in
            measure(UnsafeBufferPointer(rebasing: values[start..<min(start + block, values.count)]))
        }
        exponent = SharedExponent.fitting(needs.max() ?? 0)
        let down = Double(sign: .plus, exponent: -exponent, significand: 1)
        halves.reserveCapacity(2 * needs.count)
        self.values.reserveCapacity(needs.count)
        for need in needs {
            var half = Float16(need * down)
            if Double(half) < need * down { half = half.nextUp }
            halves.appendLittleEndian(half.bitPattern)
            self.values.append(Float(half) * SharedExponent.factor(exponent))
        }
    }

    var bytes: [UInt8] {
        var bytes = [UInt8(bitPattern: Int8(exponent))]
        bytes.appendVarint(block)
        return bytes + halves
    }
}
