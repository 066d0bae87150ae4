import Tensors

/// A container explained from its bytes alone, without the model: what is in it and how each tensor is coded.
public struct UpdateDescription: Sendable, Equatable, Codable {
    /// One record.
    public struct TensorDescription: Sendable, Equatable, Codable {
        public let index: Int
        public let elements: Int
        public let alive: Int
        public let kept: Int
        /// Sent values as a share of all elements.
        public let density: Double
        /// `dense`, `bitmap`, `gaps`, `gaps-of-left-out` or `blocks`.
        public let positions: String
        /// `f32`, `f16`, `bf16`, `int8`, ... as in protocols/update-format.md.
        public let values: String
        /// `plain` or `rice`.
        public let coding: String
        /// Whether values were rotated before they were quantized.
        public let rotated: Bool
        /// Values that share a scale; nil for formats without scales.
        public let blockSize: Int?
        /// Levels of a codebook; nil for other formats.
        public let levels: Int?
        /// Of the positions, in the unpacked body.
        public let positionBytes: Int
        public let scaleBytes: Int
        public let valueBytes: Int
        /// Of the whole record.
        public let bytes: Int
    }

    /// One changed mask.
    public struct MaskDescription: Sendable, Equatable, Codable {
        public let index: Int
        public let elements: Int
        /// `removed`, `bitmap`, `gaps`, `gaps-of-dead` or `lz4`.
        public let coding: String
        /// Whether only positions alive so far are coded.
        public let relative: Bool
        public let bytes: Int
    }

    public let kind: String
    /// Hexadecimal digest of the base snapshot.
    public let base: String
    public let maskEpoch: UInt32
    /// `stored` or `lz4`.
    public let packing: String
    /// The whole container.
    public let bytes: Int
    public let bodyBytes: Int
    /// Tensors and elements of the model, sent or not.
    public let modelTensors: Int
    public let modelElements: Int
    public let bitsPerWeight: Double
    /// What a value of every weight as float32 would take, without any header.
    public let float32Bytes: Int
    /// `float32Bytes` over `bytes`.
    public let ratio: Double
    /// The epoch before the mask change; nil without one.
    public let oldMaskEpoch: UInt32?
    public let maskChanges: [MaskDescription]
    public let tensors: [TensorDescription]

    /// The first bytes of every container.
    public static var magic: [UInt8] { UpdateHeader.magic }

    /// Parses the structure of a container. Values are not looked at.
    public init(describing bytes: [UInt8], limits: CodecLimits = .inspection) throws(CodecError) {
        try self.init(ByteRegion(bytes), limits)
    }

    /// The same for a mapped file.
    public init(describing file: MappedFile, limits: CodecLimits = .inspection) throws(CodecError) {
        try self.init(ByteRegion(file), limits)
    }

    private init(_ bytes: ByteRegion, _ limits: CodecLimits) throws(CodecError) {
        let parsed = try ParsedContainer(
            bytes, limits: limits, expecting: nil, masks: .init(), bodyByteLimit: limits.bodyBytes)
        let header = parsed.prefix.header
        kind = "\(header.kind)"
        base = header.base.map { byte in
            let digits = String(byte, radix: 16)
            return digits.count == 1 ? "0" + digits : digits
        }.joined()
        maskEpoch = header.maskEpoch
        packing = parsed.prefix.packing == .stored ? "stored" : "lz4"
        self.bytes = bytes.count
        bodyBytes = parsed.prefix.bodyByteCount
        modelTensors = parsed.layoutTensors
        modelElements = parsed.layoutElements
        bitsPerWeight = Double(bytes.count) * 8 / Double(max(parsed.layoutElements, 1))
        // The file itself says how many elements there are: any number.
        let (float32Bytes, overflow) = parsed.layoutElements.multipliedReportingOverflow(by: 4)
        self.float32Bytes = overflow ? .max : float32Bytes
        ratio = Double(self.float32Bytes) / Double(bytes.count)
        oldMaskEpoch = parsed.maskSection?.oldEpoch
        maskChanges = (parsed.maskSection?.changes ?? []).map {
            MaskDescription(
                index: $0.index, elements: $0.elements, coding: $0.form.name, relative: $0.isRelative,
                bytes: $0.range.count)
        }
        tensors = parsed.records.map {
            TensorDescription(
                index: $0.index, elements: $0.elements, alive: $0.alive, kept: $0.kept,
                density: Double($0.kept) / Double($0.elements), positions: $0.positions.name, values: $0.format.name,
                coding: $0.isRice ? "rice" : "plain", rotated: $0.rotation != nil,
                blockSize: $0.format.hasScales ? $0.blockSize : nil,
                levels: $0.format.codebookSize > 0 ? $0.levelCount : nil, positionBytes: $0.positionRange.count,
                scaleBytes: $0.scaleRange.count, valueBytes: $0.codeRange.count, bytes: $0.byteCount)
        }
    }
}
