import SwiftProtobuf
import Tensors

extension Graph {
    /// The model as an ONNX file. Equal graphs give equal bytes; nothing depends on time or on hash order. Intermediate
    /// shapes (value_info) are not written, since edits make them stale. A skeleton's parameters are written without data.
    public func serialized() -> [UInt8] {
        let omitted = isSkeleton ? Set(parameters.map(\.name)) : []
        return Self.encode(modelProto { name, tensor in !omitted.contains(name) || tensor.bytes.contains { $0 != 0 } })
    }

    /// The skeleton as an ONNX file: structure and every initializer that is no parameter.
    public func serializedSkeleton() -> [UInt8] {
        let omitted = Set(parameters.map(\.name))
        var graph = self
        graph.metadata[Graph.skeletonKey] = "1"
        return Self.encode(graph.modelProto { name, _ in !omitted.contains(name) })
    }

    /// How many bytes `serialized` gives, without making them. Precondition: not a skeleton.
    public var serializedByteCount: Int {
        precondition(!isSkeleton, "a skeleton is counted by serializing it")
        var model = modelProto { _, _ in false }
        var initializerBytes = 0
        for proto in model.graph.initializer {
            let dataBytes = initializers[proto.name]?.bytes.count ?? 0
            initializerBytes += Self.fieldByteCount(Self.encode(proto).count + Self.fieldByteCount(dataBytes))
        }
        model.graph.initializer = []
        let graphBytes = Self.encode(model.graph).count + initializerBytes
        model.clearGraph()
        return Self.encode(model).count + Self.fieldByteCount(graphBytes)
    }

    /// A length-delimited field with a number below 16: tag, length, bytes.
    private static func fieldByteCount(_ byteCount: Int) -> Int {
        1 + max(1, (Int.bitWidth - byteCount.leadingZeroBitCount + 6) / 7) + byteCount
    }

    private static func encode(_ message: some SwiftProtobuf.Message) -> [UInt8] {
        var options = BinaryEncodingOptions()
        options.useDeterministicOrdering = true
        do { return try message.serializedBytes(options: options) } catch {
            // No message has required fields or extensions, which are all that encoding can fail on.
            preconditionFailure("cannot encode a model: \(error)")
        }
    }

    private func modelProto(hasData: (_ name: String, Tensor) -> Bool) -> OnnxModelProto {
        var model = OnnxModelProto()
        model.irVersion = irVersion
        model.producerName = "pleach"
        model.graph = graphProto(hasData: hasData)
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

    private func graphProto(hasData: (_ name: String, Tensor) -> Bool) -> OnnxGraphProto {
        var proto = OnnxGraphProto()
        proto.name = name.isEmpty ? "graph" : name
        for (name, tensor) in initializers.ordered where !constantNames.contains(name) {
            proto.initializer.append(OnnxTensor.write(tensor, name: name, withData: hasData(name, tensor)))
        }
        for (name, tensor) in initializers.ordered where constantNames.contains(name) {
            let node = Node(
                name: name, operatorType: "Constant", inputs: [], outputs: [name],
                attributes: ["value": .tensor(tensor)])
            proto.node.append(OnnxAttributes.write(node))
        }
        proto.node += nodes.map(OnnxAttributes.write)
        proto.input = inputs.map(valueInfo)
        proto.output = outputs.map(valueInfo)
        return proto
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
