import Tensors

/// Looks for infinities and NaNs before training does, a piece at a time: the data may be larger than memory.
enum FiniteCheck {
    /// Bytes looked at together.
    private static let pieceByteCount = 1 << 20

    /// - Parameter rows: the samples of the set, ascending.
    /// - Throws: `DataError.notFinite` with the first such sample, `.damagedSample` when a row cannot be read.
    static func check(_ field: SampleField, rows: [Int], spec: DataSpec) throws(DataError) {
        guard [.float32, .float16, .bfloat16].contains(field.rows.elementType) else { return }
        let size = max(1, field.rows.rowByteCount)
        let rowsAtOnce = max(1, pieceByteCount / size)
        let piece = UnsafeMutableRawBufferPointer.allocate(byteCount: rowsAtOnce * size, alignment: 16)
        defer { piece.deallocate() }
        var next = 0
        while next < rows.count {
            // Rows that follow one another are read together.
            var end = next + 1
            while end < rows.count, end - next < rowsAtOnce, rows[end] == rows[end - 1] + 1 { end += 1 }
            let bytes = UnsafeMutableRawBufferPointer(rebasing: piece[..<((end - next) * field.rows.rowByteCount)])
            do throws(SampleFault) { try field.rows.read(rows[next]..<rows[next] + end - next, into: bytes) } catch {
                throw error.error
            }
            if let byte = firstBadByte(UnsafeRawBufferPointer(bytes), field.rows.elementType) {
                throw .notFinite(spec: spec.description, sample: next + byte / size)
            }
            next = end
        }
    }

    private static func firstBadByte(_ bytes: UnsafeRawBufferPointer, _ type: ElementType) -> Int? {
        switch type {
        case .float32:
            bytes.assumingMemoryBound(to: UInt32.self).firstIndex { $0 & 0x7f80_0000 == 0x7f80_0000 }.map { 4 * $0 }
        case .float16:
            bytes.assumingMemoryBound(to: UInt16.self).firstIndex { $0 & 0x7c00 == 0x7c00 }.map { 2 * $0 }
        case .bfloat16:
            bytes.assumingMemoryBound(to: UInt16.self).firstIndex { $0 & 0x7f80 == 0x7f80 }.map { 2 * $0 }
        default: nil
        }
    }
}
