/// One bit per element of a tensor: 1 keeps, 0 is pruned. Bit i lives in byte i/8 at position i%8; spare bits are 0.
public struct Bitmap: Sendable, Hashable {
    public let count: Int
    public private(set) var bytes: [UInt8]

    public init(repeating value: Bool, count: Int) {
        self.count = count
        bytes = [UInt8](repeating: value ? 0xff : 0, count: (count + 7) / 8)
        clearSpareBits()
    }

    /// - Returns: nil when `bytes` has the wrong length or a spare bit is set.
    public init?(count: Int, bytes: [UInt8]) {
        guard count >= 0, bytes.count == (count + 7) / 8 else { return nil }
        self.count = count
        self.bytes = bytes
        clearSpareBits()
        guard self.bytes == bytes else { return nil }
    }

    public subscript(index: Int) -> Bool {
        get { bytes[index >> 3] & (1 << UInt8(index & 7)) != 0 }
        set {
            if newValue {
                bytes[index >> 3] |= 1 << UInt8(index & 7)
            } else {
                bytes[index >> 3] &= ~(1 << UInt8(index & 7))
            }
        }
    }

    /// How many bits are 1.
    public var populationCount: Int { bytes.reduce(0) { $0 + $1.nonzeroBitCount } }

    private mutating func clearSpareBits() {
        if count & 7 != 0, !bytes.isEmpty { bytes[bytes.count - 1] &= UInt8((1 << (count & 7)) - 1) }
    }
}

/// Which weights are alive. Tensors without a bitmap are wholly alive. The epoch grows by one with each new mask.
public struct MaskSet: Sendable, Equatable {
    public var epoch: UInt32
    public var bitmaps: [String: Bitmap]

    public init(epoch: UInt32 = 0, bitmaps: [String: Bitmap] = [:]) {
        self.epoch = epoch
        self.bitmaps = bitmaps
    }

    public subscript(name: String) -> Bitmap? { bitmaps[name] }
}
