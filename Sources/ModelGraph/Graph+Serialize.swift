import SwiftProtobuf
import Tensors

extension Graph {
    /// The model as an ONNX file. Equal graphs give equal bytes; nothing depends on time or on hash order. Intermediate
    /// shapes (value_info) are not written, since edits make them stale. A skeleton's parameters are written without data.
    public func serialized() -> [UInt8] {
        var model = OnnxModelProto()
        model.irVersion = irVersion
        model.producerName = "pleach"
        model.graph = graphProto()
        let domains = Set(nodes.map(\.domain)).subtracting([""]).sorted()
        model.opsetImport = [opsetImport("", opset)] + domains.map { opsetImport($0, 1) }
        model.metadataProps = metadata.sorted { $0.key < $1.key }.map { key, value in
            var entry = OnnxStringStringEntryProto()
            entry.key = key
            entry.value = value
            return entry
        }
        var options = BinaryEncodingOptions()
        options.useDeterministicOrdering = true
        do { return try model.serializedBytes(options: options) } catch {
            // The message has no required fields and no extensions, which are all that encoding can fail on.
            preconditionFailure("cannot encode a graph of \(nodes.count) nodes: \(error)")
        }
    }

    private func graphProto() -> OnnxGraphProto {
        var proto = OnnxGraphProto()
        proto.name = name.isEmpty ? "graph" : name
        let omitted = isSkeleton ? Set(parameters.map(\.name)) : []
        for (name, tensor) in initializers.ordered where !constantNames.contains(name) {
            let withData = !omitted.contains(name) || tensor.bytes.contains { $0 != 0 }
            proto.initializer.append(OnnxTensor.write(tensor, name: name, withData: withData))
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
