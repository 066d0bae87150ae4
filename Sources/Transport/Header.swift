/// The first frame of every message on the wire (`protocols/transport.md`): fixed little-endian layouts, exact lengths.
enum Header: Equatable {
    /// An opaque message follows as the second frame.
    case control
    /// The receiver wants a blob from `offset` on and takes `allowedChunks` chunks for now.
    case request(digest: [UInt8], attempt: UInt32, offset: Int, allowedChunks: UInt32)
    /// The receiver has taken `takenChunks` chunks since its request and takes `allowedChunks` in all.
    case grant(digest: [UInt8], attempt: UInt32, allowedChunks: UInt32, takenChunks: UInt32)
    /// `length` bytes of the blob at `offset` follow as the second frame.
    case chunk(digest: [UInt8], attempt: UInt32, offset: Int, total: Int, length: Int)
    /// The sender does not serve the request.
    case refusal(digest: [UInt8], attempt: UInt32, Refusal)
    /// The receiver no longer wants the blob.
    case cancel(digest: [UInt8], attempt: UInt32)
    /// The server no longer allows the client's key.
    case dismissal
    /// Nothing: the server looks whether the peer is still there.
    case probe

    /// Why a blob is not sent.
    enum Refusal: UInt8 {
        case missing = 1
        case offsetOutOfRange = 2
        case unreadable = 3
        case tooManyTransfers = 4
    }

    static let version: UInt8 = 1
    static let digestBytes = 32
    /// The longest layout: a chunk's.
    static let maximumBytes = 58

    private enum Kind: UInt8 {
        case control = 1
        case request, grant, chunk, refusal, cancel, dismissal, probe
    }

    /// Whether a second frame follows.
    var hasPayload: Bool {
        switch self {
        case .control, .chunk: true
        case .request, .grant, .refusal, .cancel, .dismissal, .probe: false
        }
    }

    var encoded: [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(Self.maximumBytes)
        func begin(_ kind: Kind, _ digest: [UInt8], _ attempt: UInt32) {
            bytes += [kind.rawValue, Self.version]
            bytes += digest
            put(attempt)
        }
        func put<Value: FixedWidthInteger>(_ value: Value) {
            withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
        }
        switch self {
        case .control: bytes = [Kind.control.rawValue, Self.version]
        case .request(let digest, let attempt, let offset, let allowedChunks):
            begin(.request, digest, attempt)
            put(UInt64(offset))
            put(allowedChunks)
        case .grant(let digest, let attempt, let allowedChunks, let takenChunks):
            begin(.grant, digest, attempt)
            put(allowedChunks)
            put(takenChunks)
        case .chunk(let digest, let attempt, let offset, let total, let length):
            begin(.chunk, digest, attempt)
            put(UInt64(offset))
            put(UInt64(total))
            put(UInt32(length))
        case .refusal(let digest, let attempt, let reason):
            begin(.refusal, digest, attempt)
            bytes.append(reason.rawValue)
        case .cancel(let digest, let attempt): begin(.cancel, digest, attempt)
        case .dismissal: bytes = [Kind.dismissal.rawValue, Self.version]
        case .probe: bytes = [Kind.probe.rawValue, Self.version]
        }
        return bytes
    }

    /// Reads a header; every field is checked for its own range here, and against the transfer later.
    init(decoding bytes: UnsafeRawBufferPointer, limits: Limits) throws(ProtocolViolation) {
        guard bytes.count >= 2 else { throw ProtocolViolation("a header of \(bytes.count) bytes") }
        guard let kind = Kind(rawValue: bytes[0]) else { throw ProtocolViolation("unknown kind \(bytes[0])") }
        guard bytes[1] == Self.version else { throw ProtocolViolation("transport version \(bytes[1])") }
        let expected = Self.length(of: kind)
        guard bytes.count == expected else {
            throw ProtocolViolation("a header of kind \(kind) with \(bytes.count) bytes instead of \(expected)")
        }
        func digest() -> [UInt8] { Array(bytes[2..<2 + Self.digestBytes]) }
        func word(_ offset: Int) -> UInt32 {
            UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
        }
        func size(_ offset: Int) throws(ProtocolViolation) -> Int {
            let value = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
            guard value <= UInt64(limits.maximumBlobBytes) else {
                throw ProtocolViolation("a size or offset of \(value) bytes is over the limit")
            }
            return Int(value)
        }
        switch kind {
        case .control: self = .control
        case .dismissal: self = .dismissal
        case .probe: self = .probe
        case .request:
            guard word(46) > 0 else { throw ProtocolViolation("a request without credit") }
            self = .request(digest: digest(), attempt: word(34), offset: try size(38), allowedChunks: word(46))
        case .grant:
            guard word(42) <= word(38) else { throw ProtocolViolation("a grant of fewer chunks than were taken") }
            self = .grant(digest: digest(), attempt: word(34), allowedChunks: word(38), takenChunks: word(42))
        case .cancel: self = .cancel(digest: digest(), attempt: word(34))
        case .refusal:
            guard let reason = Refusal(rawValue: bytes[38]) else {
                throw ProtocolViolation("unknown refusal \(bytes[38])")
            }
            self = .refusal(digest: digest(), attempt: word(34), reason)
        case .chunk:
            let (offset, total, length) = (try size(38), try size(46), Int(word(54)))
            guard length > 0, length <= limits.chunkBytes else {
                throw ProtocolViolation("a chunk that declares \(length) bytes")
            }
            // Both are within the limit on blobs, so the sum cannot overflow.
            guard offset + length <= total else {
                throw ProtocolViolation("a chunk of \(length) bytes at \(offset) of \(total)")
            }
            self = .chunk(digest: digest(), attempt: word(34), offset: offset, total: total, length: length)
        }
    }

    private static func length(of kind: Kind) -> Int {
        switch kind {
        case .control, .dismissal, .probe: 2
        case .cancel: 38
        case .refusal: 39
        case .grant: 46
        case .request: 50
        case .chunk: 58
        }
    }
}

/// What a peer did against the protocol, in a few words.
struct ProtocolViolation: Error, Equatable {
    let reason: String
    init(_ reason: String) { self.reason = reason }
}

extension Header {
    /// Reads a received first frame.
    init(decoding frame: inout Frame, limits: Limits) throws(ProtocolViolation) {
        let result = frame.withBytes { bytes in
            Result { () throws(ProtocolViolation) in try Header(decoding: bytes, limits: limits) }
        }
        self = try result.get()
    }

    /// Whether the frame belongs to a blob transfer.
    var isForExchange: Bool {
        switch self {
        case .control, .dismissal, .probe: false
        case .request, .grant, .chunk, .refusal, .cancel: true
        }
    }

    /// Whether the second frame is as long as the first says and the limits allow.
    func check(payloadBytes: Int, limits: Limits) throws(ProtocolViolation) {
        switch self {
        case .chunk(_, _, _, _, let length) where payloadBytes != length:
            throw ProtocolViolation("a chunk with \(payloadBytes) bytes that declares \(length)")
        case .control where payloadBytes > limits.maximumControlBytes:
            throw ProtocolViolation("a control message of \(payloadBytes) bytes")
        default: break
        }
    }
}
