import CImages
import CTorch
import Synchronization
import Tensors

/// Turns a file's bytes into planes of 8-bit pixels. One decoder serves one thread at a time.
///
/// CImages' rule: "A decoder is used by one thread at a time; different decoders share nothing." `ImageDecoders` lends each
/// to one thread, which is what makes `@unchecked Sendable` right.
final class ImageDecoder: @unchecked Sendable {
    /// Why an image cannot be used.
    struct Fault: Error, Equatable {
        let reason: String
        /// Whether the image is sound but of another size than all must have.
        var isAboutSize = false
    }

    struct Header: Equatable {
        let height: Int
        let width: Int
        /// 1 for grey, 3 for colour, as stored.
        let channels: Int
        let isJPEG: Bool
    }

    /// Pixels of the largest image that is decoded, told from its header: 64 million.
    static let pixelLimit = 1 << 26

    private let handle: OpaquePointer
    private var planes: [UInt8] = []

    init() {
        guard let handle = ci_decoder_new() else { preconditionFailure("no memory for an image decoder") }
        self.handle = handle
    }

    deinit { ci_decoder_free(handle) }

    /// Reads the header only.
    func header(_ bytes: [UInt8]) throws(Fault) -> Header {
        var header = CIHeader()
        guard ci_read_header(handle, bytes, bytes.count, Int64(Self.pixelLimit), &header) == 0 else { throw fault }
        return Header(
            height: Int(header.height), width: Int(header.width), channels: Int(header.channels),
            isJPEG: header.format == Int32(CI_JPEG))
    }

    /// Decodes an image to `[channels, height, width]` bytes in `target`; another size is resized when `resizes`, else refused.
    func decode(
        _ bytes: [UInt8], shape: Shape, resizes: Bool, into target: UnsafeMutableRawBufferPointer
    ) throws(Fault) {
        let (channels, height, width) = (shape[0], shape[1], shape[2])
        precondition(target.count == shape.elementCount, "\(target.count) bytes for \(shape)")
        let header = try header(bytes)
        if header.height == height, header.width == width {
            return try decode(bytes, channels: channels, divisor: 1, into: target)
        }
        guard resizes else {
            throw Fault(
                reason:
                    "the image is \(header.width) wide and \(header.height) high, the first one \(width) and \(height); "
                    + "give size=HEIGHTxWIDTH", isAboutSize: true)
        }
        let divisor = Self.divisor(header, height: height, width: width)
        let scaled = [header.height, header.width].map { Int(ci_scaled(Int32($0), divisor)) }
        let count = channels * scaled[0] * scaled[1]
        if planes.count < count { planes = [UInt8](repeating: 0, count: count) }
        var failure: Fault?
        planes.withUnsafeMutableBytes { whole in
            let source = UnsafeMutableRawBufferPointer(rebasing: whole[..<count])
            do throws(Fault) { try decode(bytes, channels: channels, divisor: divisor, into: source) } catch {
                failure = error
                return
            }
            let status = ct_resize_planes(
                source.baseAddress, Int64(channels), Int64(scaled[0]), Int64(scaled[1]), Int64(height), Int64(width),
                target.baseAddress)
            if status != 0 { failure = Fault(reason: TorchTensor.lastError) }
        }
        if let failure { throw failure }
    }

    private func decode(
        _ bytes: [UInt8], channels: Int, divisor: Int32, into target: UnsafeMutableRawBufferPointer
    ) throws(Fault) {
        let status = ci_decode(
            handle, bytes, bytes.count, Int64(Self.pixelLimit), Int32(channels), divisor, target.baseAddress,
            target.count)
        if status != 0 { throw fault }
    }

    /// JPEG can be decoded at 1/2, 1/4 or 1/8 for a fraction of the work. Twice the wanted size is kept, so that the
    /// resizing after it still averages what it should.
    private static func divisor(_ header: Header, height: Int, width: Int) -> Int32 {
        guard header.isJPEG else { return 1 }
        let fitting = [8, 4, 2].first { divisor in
            header.height >= 2 * divisor * height && header.width >= 2 * divisor * width
        }
        return Int32(fitting ?? 1)
    }

    private var fault: Fault { Fault(reason: String(cString: ci_reason(handle))) }
}

/// Decoders that are idle; as many exist as were ever in use at once.
final class ImageDecoders: Sendable {
    private let idle = Mutex<[ImageDecoder]>([])

    /// Lends a decoder for the time of `body`.
    func borrow<Result, Failure: Error>(_ body: (ImageDecoder) throws(Failure) -> Result) throws(Failure) -> Result {
        let decoder = idle.withLock { $0.popLast() } ?? ImageDecoder()
        defer { idle.withLock { $0.append(decoder) } }
        return try body(decoder)
    }
}
