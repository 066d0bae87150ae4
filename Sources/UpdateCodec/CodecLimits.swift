/// What a reader accepts before it allocates anything. All are inclusive.
public struct CodecLimits: Sendable, Equatable {
    public var containerBytes: Int
    /// Bytes of the body once it is unpacked.
    public var bodyBytes: Int
    public var tensors: Int
    /// Elements of one tensor; indices are 32 bits wide, so never more than 2^31 − 1.
    public var tensorElements: Int
    /// Values that share a scale.
    public var blockSize: Int

    public init(
        containerBytes: Int = 8 << 30, bodyBytes: Int = 8 << 30, tensors: Int = 1 << 20,
        tensorElements: Int = Int(Int32.max), blockSize: Int = 1 << 24
    ) {
        self.containerBytes = containerBytes
        self.bodyBytes = bodyBytes
        self.tensors = tensors
        self.tensorElements = min(tensorElements, Int(Int32.max))
        self.blockSize = blockSize
    }

    public static let `default` = CodecLimits()

    /// For looking into a container without its model, which would bound what records cost.
    public static let inspection = CodecLimits(tensors: 1 << 16)

    /// For bytes this process has just written.
    static let unlimited = CodecLimits(
        containerBytes: .max, bodyBytes: .max, tensors: .max, tensorElements: Int(Int32.max), blockSize: .max)
}
