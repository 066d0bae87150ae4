import CImages

/// Image files from anywhere: a header that lies, streams cut short, chunks out of order.
enum HostileImages {
    /// Pixels of the largest image that is decoded here: what an input may cost is bounded by `memoryBytes`.
    private static let pixelLimit = 1 << 20

    /// Decodes in every way the loader does, with one decoder, as the loader keeps one.
    static func decode(_ bytes: [UInt8]) {
        guard let decoder = ci_decoder_new() else { return }
        defer { ci_decoder_free(decoder) }
        var header = CIHeader()
        guard ci_read_header(decoder, bytes, bytes.count, Int64(pixelLimit), &header) == 0 else {
            guard ci_reason(decoder).pointee != 0 else { fatalError("image: refused without a reason") }
            return
        }
        guard header.width > 0, header.height > 0, Int(header.width) * Int(header.height) <= pixelLimit,
            header.channels == 1 || header.channels == 3
        else { fatalError("image: an accepted header says \(header)") }
        for divisor in [1, 2, 8] as [Int32] where divisor == 1 || header.format == Int32(CI_JPEG) {
            for channels in [1, 3] as [Int32] {
                let area = Int(ci_scaled(header.width, divisor)) * Int(ci_scaled(header.height, divisor))
                var planes = [UInt8](repeating: 0, count: area * Int(channels))
                _ = ci_decode(
                    decoder, bytes, bytes.count, Int64(pixelLimit), channels, divisor, &planes, planes.count)
            }
        }
    }

    /// Small images of every format and number of channels.
    static func seeds() -> [[UInt8]] {
        [(CI_JPEG, 1), (CI_JPEG, 3), (CI_PNG, 1), (CI_PNG, 3), (CI_PNG, 4)].map { format, channels in
            let pixels = (0..<17 * 9 * channels).map { UInt8(truncatingIfNeeded: $0 * 7) }
            var bytes = [UInt8](repeating: 0, count: 16 << 10)
            let count = ci_encode(Int32(format), pixels, 17, 9, Int32(channels), 80, &bytes, bytes.count)
            return Array(bytes[..<count])
        }
    }
}
