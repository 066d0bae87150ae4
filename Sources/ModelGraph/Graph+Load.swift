import SwiftProtobuf
import Tensors

extension Graph {
    /// Metadata key whose value "1" marks a graph that carries its parameters' shapes but not their data.
    public static let skeletonKey = "pleach.skeleton"

    /// Reads an ONNX file.
    public static func load(path: String) throws(ModelError) -> Graph {
        let bytes: [UInt8]
        do { bytes = try FileBytes.read(path: path, byteLimit: Int(Int32.max)) } catch {
            switch error {
            case .unreadableFile(let path, let reason): throw .unreadableFile(path: path, reason: reason)
            default: throw .invalidTensor(error)
            }
        }
        return try load(bytes, path: path)
    }

    /// Reads an ONNX model and brings it into the form the invariants of `Graph` promise. `path` is for messages only.
    /// - Parameter skeletonByteLimit: the most bytes of zeros a skeleton's parameters may take in memory: they cost
    ///   nothing in the file, so a small file from a stranger could ask for much.
    public static func load(
        _ bytes: [UInt8], path: String, skeletonByteLimit: Int = ModelLimits.skeletonByteCount
    ) throws(ModelError) -> Graph {
        var options = BinaryDecodingOptions()
        options.discardUnknownFields = true
        let model: OnnxModelProto
        do { model = try OnnxModelProto(serializedBytes: bytes, options: options) } catch {
            throw .malformedFile(path: path, reason: "the bytes are no protocol buffer (\(error))")
        }
        guard model.hasGraph else { throw .malformedFile(path: path, reason: "it holds no graph") }
        return try OnnxReader(model: model, path: path, skeletonByteLimit: skeletonByteLimit).graph()
    }
}

/// Turns a decoded file into a graph, refusing what breaks a rule.
struct OnnxReader {
    let model: OnnxModelProto
    let path: String
    let skeletonByteLimit: Int

    func graph() throws(ModelError) -> Graph {
        let proto = model.graph
        guard proto.sparseInitializer.isEmpty else {
            throw .unsupportedFile(path: path, reason: "it holds sparse initializers; store them dense")
        }
        let metadata = try metadata()
        var initializers = NamedTensors()
        var zeroBytes = metadata[Graph.skeletonKey] == "1" ? skeletonByteLimit : 0
        for tensor in proto.initializer {
            guard !tensor.name.isEmpty else { throw malformed("an initializer has no name") }
            guard initializers[tensor.name] == nil else {
                throw malformed("initializer '\(tensor.name)' appears twice")
            }
            initializers[tensor.name] = try OnnxTensor.read(
                tensor, name: tensor.name, path: path, zeroBytes: &zeroBytes)
        }
        // Files below IR 4 list initializers among the inputs.
        let inputs = try declarations(proto.input, "input").filter { initializers[$0.name] == nil }
        var nodes: [Node] = []
        nodes.reserveCapacity(proto.node.count)
        for node in proto.node { nodes.append(try OnnxAttributes.read(node, index: nodes.count, path: path)) }
        var graph = Graph(
            name: proto.name, nodes: nodes, inputs: inputs, outputs: try declarations(proto.output, "output"),
            initializers: initializers, opset: try opset(), irVersion: 0, metadata: metadata)
        // IR 10 is the newest whose features are read here; below the opset's own IR a checker would refuse the file.
        graph.irVersion = min(max(model.irVersion, Graph.irVersion(forOpset: graph.opset)), 10)
        guard !graph.outputs.isEmpty else { throw malformed("the graph declares no output") }
        try graph.sortTopologically(path: path)
        try graph.absorbConstants(path: path)
        graph.untieAliases()
        graph.dropUnusedInitializers()
        return graph
    }

    private func malformed(_ reason: String) -> ModelError { .malformedFile(path: path, reason: reason) }

    private func opset() throws(ModelError) -> Int64 {
        let versions = model.opsetImport.filter { $0.domain.isEmpty || $0.domain == "ai.onnx" }.map(\.version)
        guard let version = versions.first else { throw malformed("it names no opset of the ONNX operators") }
        guard versions.allSatisfy({ $0 == version }) else { throw malformed("it names several ONNX opsets") }
        guard ModelLimits.opsets.contains(version) else { throw .unsupportedOpset(version) }
        return version
    }

    private func metadata() throws(ModelError) -> [String: String] {
        var result: [String: String] = [:]
        for entry in model.metadataProps {
            guard result.updateValue(entry.value, forKey: entry.key) == nil else {
                throw malformed("metadata key '\(entry.key)' appears twice")
            }
        }
        return result
    }

    private func declarations(_ infos: [OnnxValueInfoProto], _ kind: String) throws(ModelError) -> [ValueInfo] {
        var result: [ValueInfo] = []
        var seen = Set<String>()
        for info in infos {
            guard !info.name.isEmpty, seen.insert(info.name).inserted else {
                throw malformed("\(kind) '\(info.name)' appears twice or has no name")
            }
            guard case .tensorType(let type)? = info.type.value else {
                throw .unsupportedFile(path: path, reason: "\(kind) '\(info.name)' is not a tensor")
            }
            let elementType = try OnnxTensor.elementType(type.elemType, of: "\(kind) '\(info.name)'", path: path)
            guard type.hasShape else {
                result.append(ValueInfo(name: info.name, elementType: elementType, dimensions: nil))
                continue
            }
            guard type.shape.dim.count <= ModelLimits.rank else {
                throw malformed("\(kind) '\(info.name)' has \(type.shape.dim.count) axes; at most \(ModelLimits.rank)")
            }
            var dimensions: [Dimension] = []
            for dimension in type.shape.dim {
                switch dimension.value {
                case .dimValue(let value)?:
                    guard let extent = Int(exactly: value), (0...ModelLimits.extent).contains(extent) else {
                        throw malformed("\(kind) '\(info.name)' declares an extent of \(value)")
                    }
                    dimensions.append(.fixed(extent))
                case .dimParam(let symbol)?: dimensions.append(symbol.isEmpty ? .unknown : .symbolic(symbol))
                case nil: dimensions.append(.unknown)
                }
            }
            result.append(ValueInfo(name: info.name, elementType: elementType, dimensions: dimensions))
        }
        return result
    }
}
