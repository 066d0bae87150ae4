import SwiftProtobuf
import Tensors

extension Graph {
    /// The model as an ONNX file. Equal graphs give equal bytes; nothing depends on time or on hash order. Intermediate
    /// shapes (value_info) are not written, since edits make them stale. A skeleton's parameters are written without data.
    public func serialized() -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(serializedByteCount)
        serialize { bytes += $0 }
        return bytes
    }

    /// The same bytes, piece by piece: tensors are passed on as they are, so that nothing of the model's size is made.
    public func serialize<Failure: Error>(to write: ([UInt8]) throws(Failure) -> Void) throws(Failure) {
        let pieces = OnnxPieces(self, omitting: isSkeleton ? zeroParameters() : [])
        try pieces.write(write)
    }

    /// How many bytes `serialized` gives.
    public var serializedByteCount: Int {
        OnnxPieces(self, omitting: isSkeleton ? zeroParameters() : []).byteCount
    }

    /// Checks that one ONNX file can hold the model, which is how Pleach writes models: without external data.
    /// - Throws: `ModelError.invalidRequest` above 2 GiB, the limit of a protobuf message.
    public func requireFileSize() throws(ModelError) {
        let byteCount = serializedByteCount
        guard byteCount <= ModelLimits.fileByteCount else {
            throw .invalidRequest(
                "the model takes \(byteCount) bytes; an ONNX file holds at most \(ModelLimits.fileByteCount)")
        }
    }

    /// The skeleton as an ONNX file: structure and every initializer that is no parameter.
    public func serializedSkeleton() -> [UInt8] {
        let omitted = Set(parameters.map(\.name))
        var graph = self
        graph.metadata[Graph.skeletonKey] = "1"
        var bytes: [UInt8] = []
        OnnxPieces(graph, omitting: omitted).write { bytes += $0 }
        return bytes
    }

    private func zeroParameters() -> Set<String> {
        Set(parameters.map(\.name).filter { name in initializers[name].map { !$0.bytes.contains { $0 != 0 } } ?? true })
    }
}

/// An ONNX file in pieces: messages that protobuf encodes, and between them tensors' own bytes.
///
/// A protobuf message is its fields one after another, so a message may be encoded in parts: what stands in front of the
/// initializers, each of them, and what follows.
private struct OnnxPieces {
    /// Tags of length-delimited fields: field number << 3 | 2. All are below 16, so one byte holds them.
    private enum Tag {
        static let modelGraph: UInt8 = 7 << 3 | 2
        static let graphInitializer: UInt8 = 5 << 3 | 2
        static let tensorRawData: UInt8 = 9 << 3 | 2
    }

    private struct Initializer {
        /// Extents, type and name.
        let head: [UInt8]
        /// nil where data are left out.
        let data: [UInt8]?

        var byteCount: Int { head.count + (data.map { OnnxPieces.fieldByteCount($0.count) } ?? 0) }
    }

    /// IR version and producer; then nodes and the graph's name; inputs and outputs; operator sets and metadata.
    private let modelHead: [UInt8]
    private let graphHead: [UInt8]
    private let initializers: [Initializer]
    private let graphTail: [UInt8]
    private let modelTail: [UInt8]

    init(_ graph: Graph, omitting omitted: Set<String>) {
        var head = OnnxModelProto()
        head.irVersion = graph.irVersion
        head.producerName = "pleach"
        modelHead = Self.encode(head)
        graphHead = Self.encode(graph.structureProto())
        initializers = graph.initializers.ordered.filter { !graph.constantNames.contains($0.name) }.map {
            name, tensor in
            let isFourBit = graph.fourBitNames.contains(name)
            return Initializer(
                head: Self.encode(OnnxTensor.write(tensor, name: name, withData: false, asFourBits: isFourBit)),
                data: omitted.contains(name) ? nil : isFourBit ? OnnxTensor.fourBitBytes(tensor.bytes) : tensor.bytes)
        }
        graphTail = Self.encode(graph.interfaceProto())
        modelTail = Self.encode(graph.versionsProto())
    }

    private var graphByteCount: Int {
        graphHead.count + graphTail.count + initializers.reduce(0) { $0 + Self.fieldByteCount($1.byteCount) }
    }

    var byteCount: Int { modelHead.count + Self.fieldByteCount(graphByteCount) + modelTail.count }

    func write<Failure: Error>(_ write: ([UInt8]) throws(Failure) -> Void) throws(Failure) {
        try write(modelHead + Self.fieldHead(Tag.modelGraph, graphByteCount) + graphHead)
        for initializer in initializers {
            let head = Self.fieldHead(Tag.graphInitializer, initializer.byteCount) + initializer.head
            guard let data = initializer.data else {
                try write(head)
                continue
            }
            try write(head + Self.fieldHead(Tag.tensorRawData, data.count))
            try write(data)
        }
        try write(graphTail + modelTail)
    }

    /// Tag, length and bytes.
    private static func fieldByteCount(_ byteCount: Int) -> Int { fieldHead(0, byteCount).count + byteCount }

    private static func fieldHead(_ tag: UInt8, _ byteCount: Int) -> [UInt8] {
        var bytes = [tag]
        var rest = byteCount
        while rest >= 0x80 {
            bytes.append(UInt8(rest & 0x7f) | 0x80)
            rest >>= 7
        }
        return bytes + [UInt8(rest)]
    }

    private static func encode(_ message: some SwiftProtobuf.Message) -> [UInt8] {
        var options = BinaryEncodingOptions()
        options.useDeterministicOrdering = true
        do { return try message.serializedBytes(options: options) } catch {
            // No message has required fields or extensions, which are all that encoding can fail on.
            preconditionFailure("cannot encode a model: \(error)")
        }
    }
}

extension Graph {
    /// Nodes and name.
    fileprivate func structureProto() -> OnnxGraphProto {
        var proto = OnnxGraphProto()
        proto.name = name.isEmpty ? "graph" : name
        for (name, tensor) in initializers.ordered where constantNames.contains(name) {
            let node = Node(
                name: name, operatorType: "Constant", inputs: [], outputs: [name],
                attributes: ["value": .tensor(tensor)])
            proto.node.append(OnnxAttributes.write(node))
        }
        proto.node += nodes.map(OnnxAttributes.write)
        return proto
    }

    /// Inputs and outputs.
    fileprivate func interfaceProto() -> OnnxGraphProto {
        var proto = OnnxGraphProto()
        proto.input = inputs.map(valueInfo)
        proto.output = outputs.map(valueInfo)
        return proto
    }

    /// Operator sets and metadata.
    fileprivate func versionsProto() -> OnnxModelProto {
        var model = OnnxModelProto()
        let domains = Set(nodes.map(\.domain)).subtracting([""]).sorted()
        model.opsetImport = [opsetImport("", opset)] + domains.map { opsetImport($0, 1) }
        model.metadataProps = metadata.sorted { $0.key < $1.key }.map { key, value in
            var entry = OnnxStringStringEntryProto()
            entry.key = key
            entry.value = value
            return entry
        }
        return model
    }

    private func opsetImport(_ domain: String, _ version: Int64) -> OnnxOperatorSetIdProto {
        var proto = OnnxOperatorSetIdProto()
        proto.domain = domain
        proto.version = version
        return proto
    }

    private func valueInfo(_ info: ValueInfo) -> OnnxValueInfoProto {
        var type = OnnxTypeProto.Tensor()
        type.elemType = Int32(OnnxTensor.dataType(info.elementType).rawValue)
        if let dimensions = info.dimensions {
            type.shape.dim = dimensions.map { dimension in
                var proto = OnnxTensorShapeProto.Dimension()
                switch dimension {
                case .fixed(let extent): proto.value = .dimValue(Int64(extent))
                case .symbolic(let symbol): proto.value = .dimParam(symbol)
                case .unknown: break
                }
                return proto
            }
            if dimensions.isEmpty { type.shape = OnnxTensorShapeProto() }
        }
        var proto = OnnxValueInfoProto()
        proto.name = info.name
        proto.type.value = .tensorType(type)
        return proto
    }
}
