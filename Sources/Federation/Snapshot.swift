import Tensors
import UpdateCodec

/// One version of the shared model less its graph: all parameters (float32, in the graph's order) and the mask.
///
/// Its file is canonical safetensors: the same value has the same bytes, hence the same digest, everywhere. Masks stand
/// in it as uint8 tensors named `mask:PARAMETER`, one bit per weight.
public struct Snapshot: Sendable, Equatable {
    public var graph: Digest
    public var parameters: NamedTensors
    public var masks: MaskSet

    private static let maskPrefix = "mask:"
    private static let graphKey = "pleach.graph"
    private static let epochKey = "pleach.maskEpoch"

    public init(graph: Digest, parameters: NamedTensors, masks: MaskSet = MaskSet()) {
        self.graph = graph
        self.parameters = parameters
        self.masks = masks
    }

    /// The canonical bytes.
    public func serialized() -> [UInt8] {
        var tensors = parameters
        for name in parameters.names {
            guard let bitmap = masks[name], let shape = try? Shape([bitmap.bytes.count]) else { continue }
            tensors[Self.maskPrefix + name] = Tensor(bitmap.bytes, shape: shape)
        }
        return Safetensors.serialize(tensors, metadata: [Self.graphKey: graph.hex, Self.epochKey: String(masks.epoch)])
    }

    /// Reads a snapshot and checks that every mask fits its tensor.
    public init(parsing bytes: [UInt8], path: String) throws(TensorError) {
        let (tensors, metadata) = try Safetensors.parse(bytes, path: path)
        guard let hex = metadata[Self.graphKey], let graph = Digest(hex: hex),
            let text = metadata[Self.epochKey], let epoch = UInt32(text)
        else { throw .malformedFile(path: path, reason: "not a snapshot: its metadata names no graph or mask epoch") }
        var parameters = NamedTensors()
        var masks = MaskSet(epoch: epoch)
        for (name, tensor) in tensors.ordered where !name.hasPrefix(Self.maskPrefix) {
            guard tensor.elementType == .float32 else {
                throw .wrongElementType(name: name, expected: .float32, found: tensor.elementType)
            }
            parameters[name] = tensor
        }
        for (name, tensor) in tensors.ordered where name.hasPrefix(Self.maskPrefix) {
            let target = String(name.dropFirst(Self.maskPrefix.count))
            guard let weights = parameters[target], tensor.elementType == .uint8,
                let bitmap = Bitmap(count: weights.elementCount, bytes: tensor.bytes)
            else { throw .malformedFile(path: path, reason: "mask of '\(target)' does not fit its tensor") }
            masks.bitmaps[target] = bitmap
        }
        self.init(graph: graph, parameters: parameters, masks: masks)
    }

    public var layout: TensorLayout { TensorLayout(parameters) }

    /// The next snapshot: takes over the delta's mask if it carries one, adds its values, keeps dead weights at +0.
    /// Coordinator and workers run this same code on the same bytes, so both ends hold the same snapshot.
    public func applying(_ delta: UpdateReader) throws(CodecError) -> Snapshot {
        var next = self
        if let masks = delta.newMasks {
            next.masks = masks
        }
        next.parameters.add(try delta.decode())
        next.zeroDeadWeights()
        return next
    }

    /// Sets every masked weight to +0.
    public mutating func zeroDeadWeights() { masks.apply(to: &parameters) }

    /// L2 norm over all parameters.
    public var norm: Double { parameters.norm }
}
