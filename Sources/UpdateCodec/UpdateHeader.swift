/// What the values of a container are. Raw values are on the wire; never renumber them.
public enum UpdateKind: UInt8, Sendable, Hashable, CaseIterable {
    /// A worker's weights minus the base snapshot's.
    case update = 1
    /// The next snapshot minus the base; may carry a mask change.
    case delta = 2
    /// Importance scores of the base's weights.
    case scores = 3
    /// What a model says of samples, one row a sample; the layout is one tensor, whatever the model's is.
    case logits = 4
}

/// Which snapshot a container refers to, and which masks its values are aligned to.
public struct UpdateHeader: Sendable, Equatable {
    static let magic: [UInt8] = Array("PLUP".utf8)
    static let version: UInt8 = 2
    static let baseByteCount = 32
    /// Magic, version, kind, packing, flags, base, mask epoch, body size.
    static let byteCount = 52
    static let maskFlag: UInt8 = 1

    public var kind: UpdateKind
    /// The 32-byte digest of the base snapshot.
    public var base: [UInt8]
    public var maskEpoch: UInt32

    public init(kind: UpdateKind, base: [UInt8], maskEpoch: UInt32) {
        self.kind = kind
        self.base = base
        self.maskEpoch = maskEpoch
    }
}

/// The fixed 52 bytes in front of every body.
struct ContainerPrefix: Sendable, Equatable {
    enum Packing: UInt8 {
        case stored = 0
        case pieces = 1
    }

    var header: UpdateHeader
    var packing: Packing
    var carriesMasks: Bool
    var bodyByteCount: Int

    /// Replaces the first 52 bytes.
    func write(over bytes: inout [UInt8]) {
        var prefix = UpdateHeader.magic
        prefix += [
            UpdateHeader.version, header.kind.rawValue, packing.rawValue, carriesMasks ? UpdateHeader.maskFlag : 0,
        ]
        prefix += header.base
        prefix.appendLittleEndian(header.maskEpoch)
        prefix.appendLittleEndian(UInt64(bodyByteCount))
        bytes.replaceSubrange(..<UpdateHeader.byteCount, with: prefix)
    }

    init(header: UpdateHeader, packing: Packing, carriesMasks: Bool, bodyByteCount: Int) {
        self.header = header
        self.packing = packing
        self.carriesMasks = carriesMasks
        self.bodyByteCount = bodyByteCount
    }

    init(_ reader: inout ByteReader, limits: CodecLimits) throws(CodecError) {
        for byte in UpdateHeader.magic {
            guard try reader.byte("the magic") == byte else { throw .notAnUpdate }
        }
        let version = try reader.byte("the version")
        guard version == UpdateHeader.version else { throw .unsupportedVersion(version) }
        let kindByte = try reader.byte("the kind")
        guard let kind = UpdateKind(rawValue: kindByte) else {
            throw reader.malformed("the kind", "is \(kindByte), not 1 to 4")
        }
        let packingByte = try reader.byte("the packing")
        guard let packing = Packing(rawValue: packingByte) else {
            throw reader.malformed("the packing", "is \(packingByte), not 0 or 1")
        }
        let flags = try reader.byte("the flags")
        guard flags & ~UpdateHeader.maskFlag == 0 else {
            throw reader.malformed("the flags", "are \(flags): only bit 0 is defined")
        }
        let base = try reader.range(UpdateHeader.baseByteCount, "the base digest")
        header = UpdateHeader(
            kind: kind, base: reader.bytes[base], maskEpoch: try reader.littleEndian("the mask epoch"))
        let size: UInt64 = try reader.littleEndian("the body size")
        guard size <= UInt64(limits.bodyBytes) else {
            throw .limitExceeded(field: "the body size", value: Int(clamping: size), limit: limits.bodyBytes)
        }
        self.packing = packing
        carriesMasks = flags & UpdateHeader.maskFlag != 0
        bodyByteCount = Int(size)
    }
}
