import CLZ4

/// The LZ4 block format, through liblz4.
enum LZ4Block {
    /// A byte of LZ4 adds at most 255 bytes of output (a length byte of 255), so more cannot be true.
    static let largestExpansion = 255

    /// The compressed bytes, or nil when they are not fewer.
    static func compress(_ bytes: ArraySlice<UInt8>) -> [UInt8]? {
        guard bytes.count > 16, bytes.count <= LZ4_MAX_INPUT_SIZE else { return nil }
        let packed = bytes.withUnsafeBytes { source in
            // Room for one byte less than the input: LZ4 gives up when that is not enough.
            [UInt8](unsafeUninitializedCapacity: bytes.count - 1) { buffer, filled in
                let target = UnsafeMutableRawBufferPointer(buffer)
                filled = Int(
                    LZ4_compress_default(
                        source.baseAddress?.assumingMemoryBound(to: CChar.self),
                        target.baseAddress?.assumingMemoryBound(to: CChar.self), Int32(source.count),
                        Int32(target.count)))
            }
        }
        return packed.isEmpty ? nil : packed
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
