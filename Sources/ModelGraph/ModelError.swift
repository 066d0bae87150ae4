import Tensors

/// What can be wrong with a model, its file, or what is asked of it.
public enum ModelError: Error, Equatable, Sendable, CustomStringConvertible {
    /// Bytes that are no ONNX model, or break a rule of the format. `reason` names the offending part.
    case malformedFile(path: String, reason: String)
    /// The file cannot be read; the reason is the system's.
    case unreadableFile(path: String, reason: String)
    /// Valid ONNX that Pleach does not take, such as sub-graphs. `reason` names what and how to mend it.
    case unsupportedFile(path: String, reason: String)
    case unsupportedOpset(Int64)
    case unsupportedOperator(operatorType: String, node: String, opset: Int64, reason: String)
    /// A node whose inputs or attributes do not fit its operator.
    case invalidNode(operatorType: String, node: String, reason: String)
    /// A request that does not fit this graph. `reason` is one sentence.
    case invalidRequest(String)
    case unknownArchitecture(name: String, suggestion: String?, available: [String])
    case invalidTensor(TensorError)

    public var description: String {
        switch self {
        case .malformedFile(let path, let reason): return "\(path) is not a valid ONNX model: \(reason)"
        case .unreadableFile(let path, let reason): return "cannot read \(path): \(reason)"
        case .unsupportedFile(let path, let reason): return "\(path) cannot be used: \(reason)"
        case .unsupportedOpset(let opset):
            let range = ModelLimits.opsets
            let advice = "export the model with an opset from \(range.lowerBound) to \(range.upperBound)"
            guard opset < range.lowerBound else { return "opset \(opset) is not supported; \(advice)" }
            return "opset \(opset) is not supported; \(advice), or convert it with "
                + "onnx.version_converter.convert_version(model, \(ModelLimits.conversionTarget))"
        case .unsupportedOperator(let type, let node, let opset, let reason):
            return "operator '\(type)' (node '\(node)', opset \(opset)) is not supported; \(reason)"
        case .invalidNode(let type, let node, let reason): return "operator '\(type)' (node '\(node)'): \(reason)"
        case .invalidRequest(let reason): return reason
        case .unknownArchitecture(let name, let suggestion, let available):
            let hint = suggestion.map { "; did you mean '\($0)'?" } ?? ""
            return "unknown architecture '\(name)'\(hint) (available: \(available.joined(separator: ", ")))"
        case .invalidTensor(let error): return error.description
        }
    }
}

/// Bounds on what a model file may declare, so that hostile bytes cannot overflow or exhaust memory.
public enum ModelLimits {
    /// Opsets whose operator meanings Pleach knows.
    public static let opsets: ClosedRange<Int64> = 13...25
    /// The opset to which owners of older files are told to convert: LayerNormalization came with it.
    static let conversionTarget: Int64 = 17
    /// The newest IR version that is read.
    static let newestIRVersion: Int64 = 13
    /// The newest IR version that is written where the opset does not ask for more.
    static let newestWrittenIRVersion: Int64 = 10
    /// Most bytes of one file, and of a model with its external data: the largest size of a protobuf message.
    public static let fileByteCount = Int(Int32.max)
    /// Largest extent of one axis.
    public static let extent = Int(Int32.max)
    /// Most axes of one tensor.
    public static let rank = 16
    /// Most bytes a skeleton's missing parameters may add up to: the largest size of a protobuf file.
    public static let skeletonByteCount = Int(Int32.max)
    /// Most bytes of a skeleton itself: structure and integer constants.
    public static let graphByteCount = 1 << 28
}
