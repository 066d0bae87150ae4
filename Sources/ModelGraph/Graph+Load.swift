import SwiftProtobuf
import Tensors

extension Graph {
    /// Metadata key whose value "1" marks a graph that carries its parameters' shapes but not their data.
    public static let skeletonKey = "pleach.skeleton"

    /// Reads an ONNX file. Tensors that the file keeps in other files (external data) are read one by one, so that no
    /// part of the model is in memory twice; with `externalData: .refused` they are an error.
    public static func load(
        path: String, externalData: ExternalDataRule = .besideModel
    ) throws(ModelError) -> Graph {
        return try load(try fileBytes(path), path: path, externalData: externalData)
    }

    /// As `load`, with the sizes of the file and of its external data.
    public static func loadMeasuring(
        path: String
    ) throws(ModelError) -> (graph: Graph, fileBytes: Int, externalBytes: Int) {
        let bytes = try fileBytes(path)
        let (fileBytes, budget) = (bytes.count, ModelLimits.fileByteCount - bytes.count)
        let folder = try ExternalDataFolder(modelPath: path, byteBudget: budget)
        var reader = OnnxReader(model: try OnnxReader.decode(bytes, path: path), path: path)
        reader.missingData = .zeros(upTo: ModelLimits.skeletonByteCount)
        reader.external = folder
        return (try reader.graph(), fileBytes, budget - folder.byteBudget)
    }

    private static func fileBytes(_ path: String) throws(ModelError) -> [UInt8] {
        do { return try FileBytes.read(path: path, byteLimit: ModelLimits.fileByteCount) } catch {
            switch error {
            case .unreadableFile(let path, let reason): throw .unreadableFile(path: path, reason: reason)
            default: throw .invalidTensor(error)
            }
        }
    }

    /// Reads an ONNX model and brings it into the form the invariants of `Graph` promise. `path` is for messages, and for
    /// external data: bytes from another machine have no folder, so these are refused unless asked for.
    /// - Parameter skeletonByteLimit: the most bytes of zeros a skeleton's parameters may take in memory: they cost
    ///   nothing in the file, so a small file from a stranger could ask for much.
    public static func load(
        _ bytes: consuming [UInt8], path: String, skeletonByteLimit: Int = ModelLimits.skeletonByteCount,
        externalData: ExternalDataRule = .refused
    ) throws(ModelError) -> Graph {
        let byteBudget = max(0, ModelLimits.fileByteCount - bytes.count)
        var reader = OnnxReader(model: try OnnxReader.decode(bytes, path: path), path: path)
        reader.missingData = .zeros(upTo: skeletonByteLimit)
        if externalData == .besideModel {
            reader.external = try ExternalDataFolder(modelPath: path, byteBudget: byteBudget)
        }
        return try reader.graph()
    }

    /// Reads a skeleton together with the values of its parameters: as `load` and `replacingParameters` after it, without
    /// ever making the zeros in between.
    /// - Throws: `ModelError`, also for a parameter that is missing, unknown, or of another shape or type.
    public static func load(
        skeleton bytes: consuming [UInt8], path: String, parameters: NamedTensors
    ) throws(ModelError) -> Graph {
        var reader = OnnxReader(model: try OnnxReader.decode(bytes, path: path), path: path)
        reader.missingData = .parameters(parameters)
        return try reader.graph().replacingParameters(parameters)
    }
}

/// Turns a decoded file into a graph, refusing what breaks a rule.
struct OnnxReader {
    /// What a skeleton's parameters are filled with.
    enum MissingData {
        case zeros(upTo: Int)
        case parameters(NamedTensors)
    }

    private var model: OnnxModelProto
    let path: String
    var missingData = MissingData.zeros(upTo: 0)
    /// Where external data may be read; nil refuses them.
    var external: ExternalDataFolder?
    /// Tensors of zeros share their storage with others of their size.
    private var zeros: [Int: [UInt8]] = [:]
    private var fourBitNames: Set<String> = []

    init(model: consuming OnnxModelProto, path: String) {
        self.model = model
        self.path = path
    }

    static func decode(_ bytes: consuming [UInt8], path: String) throws(ModelError) -> OnnxModelProto {
        var options = BinaryDecodingOptions()
        options.discardUnknownFields = true
        let model: OnnxModelProto
        do { model = try OnnxModelProto(serializedBytes: bytes, options: options) } catch {
            throw .malformedFile(path: path, reason: "the bytes are no protocol buffer (\(error))")
        }
        guard model.hasGraph else { throw .malformedFile(path: path, reason: "it holds no graph") }
        return model
    }

    mutating func graph() throws(ModelError) -> Graph {
        guard model.irVersion <= ModelLimits.newestIRVersion else {
            throw .unsupportedFile(
                path: path,
                reason:
                    "its IR version \(model.irVersion) is newer than \(ModelLimits.newestIRVersion); save it with an "
                    + "older onnx package or an earlier opset")
        }
        guard model.graph.sparseInitializer.isEmpty else {
            throw .unsupportedFile(path: path, reason: "it holds sparse initializers; store them dense")
        }
        if let function = model.functions.first {
            throw .unsupportedFile(
                path: path,
                reason: "it defines the function '\(function.name)'; inline it with "
                    + "onnx.inliner.inline_local_functions")
        }
        let opset = try opset()
        let metadata = try metadata()
        let initializers = try takeInitializers(isSkeleton: metadata[Graph.skeletonKey] == "1")
        let proto = model.graph
        // Files below IR 4 list initializers among the inputs.
        let inputs = try declarations(proto.input, "input").filter { initializers[$0.name] == nil }
        var nodes: [Node] = []
        nodes.reserveCapacity(proto.node.count)
        for node in proto.node {
            nodes.append(try OnnxAttributes.read(node, index: nodes.count, path: path, external: external))
        }
        var graph = Graph(
            name: proto.name, nodes: nodes, inputs: inputs, outputs: try declarations(proto.output, "output"),
            initializers: initializers, opset: opset, irVersion: 0, metadata: metadata)
        graph.fourBitNames = fourBitNames
        // Below the opset's own IR a checker would refuse the file; above it, older runtimes would.
        graph.irVersion = max(
            min(model.irVersion, ModelLimits.newestWrittenIRVersion), Graph.irVersion(forOpset: opset))
        guard !graph.outputs.isEmpty else { throw malformed("the graph declares no output") }
        try graph.sortTopologically(path: path)
        try graph.absorbConstants(path: path)
        graph.untieAliases()
        graph.dropUnusedInitializers()
        return graph
    }

    /// Reads each initializer and frees its message, so that at no time the model is there twice.
    private mutating func takeInitializers(isSkeleton: Bool) throws(ModelError) -> NamedTensors {
        var initializers = NamedTensors()
        for index in model.graph.initializer.indices {
            var proto = OnnxTensorProto()
            swap(&proto, &model.graph.initializer[index])
            guard !proto.name.isEmpty else { throw malformed("an initializer has no name") }
            guard initializers[proto.name] == nil else {
                throw malformed("initializer '\(proto.name)' appears twice")
            }
            if OnnxTensor.isFourBit(proto) {
                initializers[proto.name] = try OnnxTensor.readFourBits(proto, name: proto.name, path: path)
                fourBitNames.insert(proto.name)
                continue
            }
            initializers[proto.name] = try OnnxTensor.read(
                proto, name: proto.name, path: path, external: external
            ) { type, shape in
                isSkeleton && type == .float32 ? fill(proto.name, shape) : nil
            }
        }
        return initializers
    }

    /// Data that a skeleton leaves out.
    private mutating func fill(_ name: String, _ shape: Shape) -> Tensor? {
        switch missingData {
        case .parameters(let tensors): return tensors[name]
        case .zeros(let limit):
            let (byteCount, overflow) = shape.elementCount.multipliedReportingOverflow(by: 4)
            guard !overflow, byteCount > 0, byteCount <= limit else { return nil }
            missingData = .zeros(upTo: limit - byteCount)
            let bytes = zeros[byteCount] ?? [UInt8](repeating: 0, count: byteCount)
            zeros[byteCount] = bytes
            return try? Tensor(elementType: .float32, shape: shape, bytes: bytes)
        }
    }

    private static func typeName(_ type: OnnxTypeProto) -> String {
        switch type.value {
        case .sequenceType: "a sequence of tensors; only plain tensors are supported"
        case .mapType: "a map; only plain tensors are supported"
        case .optionalType: "an optional value; only plain tensors are supported"
        case .sparseTensorType: "a sparse tensor; only plain tensors are supported"
        case .tensorType, nil: "not a tensor"
        }
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
                throw .unsupportedFile(path: path, reason: "\(kind) '\(info.name)' is \(Self.typeName(info.type))")
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
