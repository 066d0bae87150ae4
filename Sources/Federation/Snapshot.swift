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

    fileprivate static let maskPrefix = "mask:"
    fileprivate static let graphKey = "pleach.graph"
    fileprivate static let epochKey = "pleach.maskEpoch"

    /// Whether a safetensors file's metadata say, or try to say, that it is a snapshot.
    public static func isMeant(by metadata: [String: String]) -> Bool {
        metadata[graphKey] != nil || metadata[epochKey] != nil
    }

    public init(graph: Digest, parameters: NamedTensors, masks: MaskSet = MaskSet()) {
        self.graph = graph
        self.parameters = parameters
        self.masks = masks
    }

    /// The canonical bytes.
    public func serialized() -> [UInt8] {
        var bytes = Self.fileHeader(graph: graph, layout: layout, masks: masks)
        for (_, tensor) in parameters.ordered { bytes += tensor.bytes }
        for bitmap in Self.maskOrder(layout, masks) { bytes += bitmap.bytes }
        return bytes
    }

    /// The file without ever holding it: hands out its bytes piece by piece.
    public func serialize<Failure: Error>(to append: ([UInt8]) throws(Failure) -> Void) throws(Failure) {
        try append(Self.fileHeader(graph: graph, layout: layout, masks: masks))
        for name in parameters.names { if let tensor = parameters[name] { try append(tensor.bytes) } }
        for bitmap in Self.maskOrder(layout, masks) { try append(bitmap.bytes) }
    }

    /// What stands in the file before the parameters. They follow in the layout's order, then the masks (`maskOrder`).
    public static func fileHeader(graph: Digest, layout: TensorLayout, masks: MaskSet) -> [UInt8] {
        var tensors = layout.entries.map { (name: $0.name, elementType: ElementType.float32, shape: $0.shape) }
        for entry in layout.entries {
            guard let bitmap = masks[entry.name], let shape = try? Shape([bitmap.bytes.count]) else { continue }
            tensors.append((maskPrefix + entry.name, .uint8, shape))
        }
        return Safetensors.header(of: tensors, metadata: [graphKey: graph.hex, epochKey: String(masks.epoch)])
    }

    /// The masks of a layout's tensors in the order in which they stand in a file.
    public static func maskOrder(_ layout: TensorLayout, _ masks: MaskSet) -> [Bitmap] {
        layout.entries.compactMap { masks[$0.name] }
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
        try next.apply(delta)
        return next
    }

    /// The same in place, one tensor at a time: nothing of the model's size is allocated. When it throws, the snapshot is
    /// of no use any more.
    public mutating func apply(_ delta: UpdateReader) throws(CodecError) {
        if let new = delta.newMasks { masks = new }
        for (index, name) in parameters.names.enumerated() {
            var failure: CodecError?
            parameters.modify(name) { tensor in
                do throws(CodecError) { try delta.add(to: &tensor, tensorAt: index) } catch { failure = error }
            }
            if let failure { throw failure }
        }
        zeroDeadWeights()
    }

    /// Sets every masked weight to +0.
    public mutating func zeroDeadWeights() { masks.apply(to: &parameters) }

    /// L2 norm over all parameters.
    public var norm: Double { parameters.norm }
}

/// A snapshot's file, mapped: layout and masks in memory, the parameters where they are.
public struct SnapshotFile: Sendable {
    public let graph: Digest
    public let masks: MaskSet
    public let layout: TensorLayout
    public let tensors: SafetensorsFile

    /// - Throws: as `Snapshot(parsing:path:)`.
    public init(_ file: MappedFile, path: String) throws(TensorError) {
        tensors = try SafetensorsFile(file, path: path)
        (graph, masks) = try Snapshot.facts(of: tensors, path: path)
        layout = TensorLayout(
            tensors.entries.filter { !$0.name.hasPrefix(Snapshot.maskPrefix) }.map { (name: $0.name, shape: $0.shape) })
    }

    /// One parameter, copied.
    public func parameter(_ name: String) throws(TensorError) -> Tensor {
        guard let tensor = try tensors.tensor(name) else { throw .missingTensor(name) }
        return tensor
    }

    /// The whole snapshot, copied.
    public func snapshot() throws(TensorError) -> Snapshot {
        var parameters = NamedTensors()
        for entry in layout.entries { parameters[entry.name] = try parameter(entry.name) }
        return Snapshot(graph: graph, parameters: parameters, masks: masks)
    }
}

extension Snapshot {
    /// Graph and masks of a snapshot's file, checked against its tensors.
    fileprivate static func facts(
        of tensors: SafetensorsFile, path: String
    ) throws(TensorError) -> (Digest, MaskSet) {
        guard let hex = tensors.metadata[graphKey], let graph = Digest(hex: hex),
            let text = tensors.metadata[epochKey], let epoch = UInt32(text)
        else { throw .malformedFile(path: path, reason: "not a snapshot: its metadata names no graph or mask epoch") }
        var masks = MaskSet(epoch: epoch)
        var counts: [String: Int] = [:]
        for entry in tensors.entries where !entry.name.hasPrefix(maskPrefix) {
            guard entry.elementType == .float32 else {
                throw .wrongElementType(name: entry.name, expected: .float32, found: entry.elementType)
            }
            counts[entry.name] = entry.shape.elementCount
        }
        for entry in tensors.entries where entry.name.hasPrefix(maskPrefix) {
            let target = String(entry.name.dropFirst(maskPrefix.count))
            guard let count = counts[target], entry.elementType == .uint8,
                let bytes = try tensors.tensor(entry.name)?.bytes, let bitmap = Bitmap(count: count, bytes: bytes)
            else { throw .malformedFile(path: path, reason: "mask of '\(target)' does not fit its tensor") }
            masks.bitmaps[target] = bitmap
        }
        return (graph, masks)
    }
}
