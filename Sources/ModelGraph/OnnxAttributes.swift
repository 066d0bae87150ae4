import FoundationEssentials
import SwiftProtobuf
import Tensors

/// Between NodeProto with its AttributeProtos and `Node`.
enum OnnxAttributes {
    static func read(
        _ proto: OnnxNodeProto, index: Int, path: String, external: ExternalDataFolder?
    ) throws(ModelError) -> Node {
        guard !proto.opType.isEmpty else {
            throw .malformedFile(path: path, reason: "node '\(proto.name)' (number \(index)) names no operator")
        }
        // Messages name nodes, so a node without a name gets one that says where it stands.
        let name = proto.name.isEmpty ? "\(proto.opType)_\(index)" : proto.name
        var attributes: [String: AttributeValue] = [:]
        for attribute in proto.attribute {
            let what = "attribute '\(attribute.name)' of node '\(name)'"
            let value = try value(attribute, what: what, path: path, external: external)
            guard attributes.updateValue(value, forKey: attribute.name) == nil else {
                throw .malformedFile(path: path, reason: "\(what) appears twice")
            }
        }
        return Node(
            name: name, operatorType: proto.opType, domain: proto.domain == "ai.onnx" ? "" : proto.domain,
            inputs: proto.input, outputs: proto.output, attributes: attributes)
    }

    private static func value(
        _ proto: OnnxAttributeProto, what: String, path: String, external: ExternalDataFolder?
    ) throws(ModelError) -> AttributeValue {
        guard !proto.hasRefAttrName else {
            throw .unsupportedFile(path: path, reason: "\(what) refers to a function's attribute")
        }
        switch proto.type {
        case .float: return .float(proto.f)
        case .int: return .int(proto.i)
        case .string: return .string(try text(proto.s, what, path))
        case .tensor:
            return .tensor(try OnnxTensor.read(proto.t, name: what, path: path, external: external))
        case .floats: return .floats(proto.floats)
        case .ints: return .ints(proto.ints)
        case .strings:
            var strings: [String] = []
            for data in proto.strings { strings.append(try text(data, what, path)) }
            return .strings(strings)
        case .graph, .graphs:
            throw .unsupportedFile(
                path: path, reason: "\(what) is a sub-graph (If, Loop, Scan), which is not supported")
        case .undefined: throw .malformedFile(path: path, reason: "\(what) has no type")
        case .tensors, .sparseTensor, .sparseTensors, .typeProto, .typeProtos:
            throw .unsupportedFile(path: path, reason: "\(what) has the kind \(proto.type), which is not supported")
        }
    }

    private static func text(_ data: Data, _ what: String, _ path: String) throws(ModelError) -> String {
        guard let text = String(validating: data, as: UTF8.self) else {
            throw .malformedFile(path: path, reason: "\(what) is not UTF-8")
        }
        return text
    }

    /// Attributes go out sorted by name, so equal nodes give equal bytes.
    static func write(_ node: Node) -> OnnxNodeProto {
        var proto = OnnxNodeProto()
        proto.input = node.inputs
        proto.output = node.outputs
        proto.name = node.name
        proto.opType = node.operatorType
        if !node.domain.isEmpty { proto.domain = node.domain }
        proto.attribute = node.attributes.sorted { $0.key < $1.key }.map { name, value in
            var attribute = OnnxAttributeProto()
            attribute.name = name
            switch value {
            case .float(let value): (attribute.type, attribute.f) = (.float, value)
            case .int(let value): (attribute.type, attribute.i) = (.int, value)
            case .string(let value): (attribute.type, attribute.s) = (.string, Data(value.utf8))
            case .tensor(let value): (attribute.type, attribute.t) = (.tensor, OnnxTensor.write(value, name: ""))
            case .floats(let values): (attribute.type, attribute.floats) = (.floats, values)
            case .ints(let values): (attribute.type, attribute.ints) = (.ints, values)
            case .strings(let values): (attribute.type, attribute.strings) = (.strings, values.map { Data($0.utf8) })
            }
            return attribute
        }
        return proto
    }
}
