import CKernels

/// The values of one record as the encoder will write them, and as what the receiver will make of them.
///
/// float32 values are not copied: whoever has them passes them in again.
struct CodedValues {
    var format: ValueFormat
    /// Exponent, block size and scales, as far as the format has them.
    var head: [UInt8] = []
    /// The integer formats' codes.
    var codes: [Int8] = []
    /// How the codes are packed; nil when they are plain.
    var rice: RiceCode?
    /// binary16 values, or the signs of ternary.
    var plain: [UInt8] = []
    /// Little-endian binary16, one for each block.
    var scales: [UInt8] = []
    var blockSize = 1
    var exponent = 0

    var isRice: Bool { rice != nil }

    /// Appends the bytes of the record behind its positions. `values` are those that were coded.
    func write(_ values: UnsafeBufferPointer<Float>, to bytes: inout [UInt8]) {
        bytes += head
        switch format {
        case .float32: bytes.append(contentsOf: UnsafeRawBufferPointer(values))
        case .float16, .ternary: bytes += plain
        case .int8, .int4: writeCodes(to: &bytes)
        }
    }

    private func writeCodes(to bytes: inout [UInt8]) {
        if let rice {
            let folded = [UInt32](unsafeUninitializedCapacity: codes.count) { buffer, filled in
                pleach_fold_signs(codes, codes.count, buffer.baseAddress)
                filled = codes.count
            }
            folded.withUnsafeBufferPointer { rice.write($0, to: &bytes) }
        } else if format == .int8 {
            codes.withUnsafeBytes { bytes.append(contentsOf: $0) }
        } else {
            let byteCount = format.plainByteCount(codes.count)
            bytes += [UInt8](unsafeUninitializedCapacity: byteCount) { buffer, filled in
                pleach_pack_int4(codes, codes.count, buffer.baseAddress)
                filled = byteCount
            }
        }
    }

    /// What the receiver gets for `out.count` values from number `first` on. Precondition: not float32, which is what it
    /// was.
    func decode(from first: Int, into out: UnsafeMutableBufferPointer<Float>) {
        guard let target = out.baseAddress, !out.isEmpty else { return }
        let factor = SharedExponent.factor(exponent)
        switch format {
        case .float32: preconditionFailure("float32 values are not kept")
        case .float16:
            plain.withUnsafeBufferPointer {
                pleach_from_half($0.baseAddress.map { $0 + 2 * first }, out.count, factor, target)
            }
        case .int8, .int4:
            codes.withUnsafeBufferPointer {
                pleach_dequantize(
                    $0.baseAddress.map { $0 + first }, out.count, scales, factor, blockSize, first, target)
            }
        case .ternary: pleach_dequantize_signs(plain, out.count, scales, factor, blockSize, first, target)
        }
    }
}
