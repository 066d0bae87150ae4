import Tensors

/// An update as bytes, and what became of the values on the way.
public struct EncodedUpdate: Sendable {
    public var bytes: [UInt8]
    /// What every receiver will see, to the bit; the input's layout, float32, 0 where nothing was sent.
    public var decoded: NamedTensors
    /// Input − decoded, in float32; 0 where the mask is dead.
    public var residual: NamedTensors
    /// Values sent as a share of all elements of the layout.
    public var density: Double
    /// All bytes, in bits, per element of the layout.
    public var bitsPerWeight: Double
}
