import CLZ4

/// The LZ4 block format, through liblz4.
enum LZ4Block {
    /// A byte of LZ4 adds at most 255 bytes of output (a length byte of 255), so more cannot be true.
    static let largestExpansion = 255

    /// The compressed bytes of `range`, or nil when they are not fewer.
    static func compress(_ bytes: [UInt8], _ range: Range<Int>) -> [UInt8]? {
        guard range.count > 16, range.count <= LZ4_MAX_INPUT_SIZE else { return nil }
        return bytes.withUnsafeBytes { bytes in
            let source = UnsafeRawBufferPointer(rebasing: bytes[range])
            // Room for one byte less than the input: LZ4 gives up when that is not enough.
            let packed = [UInt8](unsafeUninitializedCapacity: source.count - 1) { buffer, filled in
                filled = compress(source, into: UnsafeMutableRawBufferPointer(buffer))
            }
            return packed.isEmpty ? nil : packed
        }
    }

    /// Whether pieces taken all over an input shrink at all. Quantized noise does not, and trying all of it would write as
    /// many bytes again for nothing.
    static func samplesShrink(_ bytes: [UInt8], _ range: Range<Int>, samples: Int, byteCount: Int) -> Bool {
        bytes.withUnsafeBytes { bytes in
            withUnsafeTemporaryAllocation(byteCount: byteCount, alignment: 1) { scratch in
                let stride = (range.count - byteCount) / (samples - 1)
                return (0..<samples).contains { number in
                    let start = range.lowerBound + number * stride
                    let sample = UnsafeRawBufferPointer(rebasing: bytes[start..<start + byteCount])
                    // A shrinking of less than 1 part in 64 is chance.
                    let room = byteCount - byteCount / 64
                    return compress(sample, into: UnsafeMutableRawBufferPointer(rebasing: scratch[..<room])) > 0
                }
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

    /// Unpacks `source` to exactly `target`, or says false.
    static func decompress(_ source: UnsafeRawBufferPointer, into target: UnsafeMutableRawBufferPointer) -> Bool {
        guard source.count <= Int(Int32.max), target.count <= LZ4_MAX_INPUT_SIZE else { return false }
        let count = LZ4_decompress_safe(
            source.baseAddress?.assumingMemoryBound(to: CChar.self),
            target.baseAddress?.assumingMemoryBound(to: CChar.self), Int32(source.count), Int32(target.count))
        return Int(count) == target.count
    }

    /// Exactly `count` bytes out of all of `range`, or nil. Nothing is allocated for a count that cannot be true.
    static func decompress(_ bytes: ByteRegion, _ range: Range<Int>, count: Int) -> [UInt8]? {
        guard count / largestExpansion <= range.count else { return nil }
        var isDone = false
        let output = bytes.withUnsafeBufferPointer { all in
            [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
                let source = UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(all)[range])
                isDone = decompress(source, into: UnsafeMutableRawBufferPointer(buffer))
                filled = isDone ? count : 0
            }
        }
        return isDone ? output : nil
    }
}
