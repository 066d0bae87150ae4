import CLZ4

/// The LZ4 block format, through liblz4.
enum LZ4Block {
    /// A byte of LZ4 adds at most 255 bytes of output (a length byte of 255), so more cannot be true.
    static let largestExpansion = 255

    /// Larger inputs are sampled first.
    private static let sampledAbove = 4 << 20
    private static let sampleByteCount = 64 << 10
    private static let sampleCount = 32

    /// The compressed bytes of `range`, behind `leaving` zeros, or nil when they are not fewer.
    static func compress(_ bytes: [UInt8], _ range: Range<Int>, leaving: Int = 0) -> [UInt8]? {
        guard range.count > 16, range.count <= LZ4_MAX_INPUT_SIZE else { return nil }
        return bytes.withUnsafeBytes { bytes in
            let source = UnsafeRawBufferPointer(rebasing: bytes[range])
            guard source.count <= sampledAbove || samplesShrink(source) else { return nil }
            // Room for one byte less than the input: LZ4 gives up when that is not enough.
            let packed = [UInt8](unsafeUninitializedCapacity: leaving + source.count - 1) { buffer, filled in
                let target = UnsafeMutableRawBufferPointer(buffer)
                target[..<leaving].initializeMemory(as: UInt8.self, repeating: 0)
                let count = compress(source, into: UnsafeMutableRawBufferPointer(rebasing: target[leaving...]))
                filled = count > 0 ? leaving + count : 0
            }
            return packed.isEmpty ? nil : packed
        }
    }

    /// Whether pieces taken all over a large input shrink at all. Quantized noise does not, and trying all of it would
    /// write as many bytes again for nothing.
    private static func samplesShrink(_ source: UnsafeRawBufferPointer) -> Bool {
        withUnsafeTemporaryAllocation(byteCount: sampleByteCount, alignment: 1) { scratch in
            let stride = (source.count - sampleByteCount) / (sampleCount - 1)
            return (0..<sampleCount).contains { number in
                let start = number * stride
                let sample = UnsafeRawBufferPointer(rebasing: source[start..<start + sampleByteCount])
                // A shrinking of less than 1 part in 64 is chance.
                let room = sampleByteCount - sampleByteCount / 64
                return compress(sample, into: UnsafeMutableRawBufferPointer(rebasing: scratch[..<room])) > 0
            }
        }
    }

    /// The bytes written, or 0 when `target` is too small.
    private static func compress(_ source: UnsafeRawBufferPointer, into target: UnsafeMutableRawBufferPointer) -> Int {
        Int(
            LZ4_compress_default(
                source.baseAddress?.assumingMemoryBound(to: CChar.self),
                target.baseAddress?.assumingMemoryBound(to: CChar.self), Int32(source.count), Int32(target.count)))
    }

    /// Exactly `count` bytes out of all of `range`, or nil. Nothing is allocated for a count that cannot be true.
    static func decompress(_ bytes: ByteRegion, _ range: Range<Int>, count: Int) -> [UInt8]? {
        guard count <= LZ4_MAX_INPUT_SIZE, range.count <= Int(Int32.max), count / largestExpansion <= range.count else {
            return nil
        }
        var result: Int32 = -1
        let output = bytes.withUnsafeBufferPointer { all in
            let source = UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(all)[range])
            return [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
                let target = UnsafeMutableRawBufferPointer(buffer)
                result = LZ4_decompress_safe(
                    source.baseAddress?.assumingMemoryBound(to: CChar.self),
                    target.baseAddress?.assumingMemoryBound(to: CChar.self), Int32(source.count), Int32(count))
                filled = max(0, Int(result))
            }
        }
        return Int(result) == count ? output : nil
    }
}
