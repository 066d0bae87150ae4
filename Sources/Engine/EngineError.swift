import Tensors

/// What can go wrong when a graph is run or trained.
public enum EngineError: Error, Sendable, Equatable, CustomStringConvertible {
    case unsupported(operatorType: String, node: String, detail: String)
    case operatorFailed(operatorType: String, node: String, reason: String)
    case missingInput(String)
    case unknownInput(name: String, suggestion: String?, inputs: [String])
    case wrongInput(name: String, expected: String, found: String)
    case unknownOutput(String)
    case unknownValue(name: String, suggestion: String?)
    case notFinite(String)
    case badBatch(String)
    /// A number of a loss, an optimizer, a schedule or a device that makes no sense.
    case badSetting(String)
    /// A mask whose length is not its tensor's, or of a tensor that is not float32.
    case badMask(name: String, bits: Int, elements: Int)
    /// A file that does not say what the model says that it was written from.
    case exportDiffers(path: String, output: String)
    case runtime(String)

    public var description: String {
        switch self {
        case .unsupported(let type, let node, let detail):
            "operator '\(type)' (node '\(node)') is not supported: \(detail)"
        case .operatorFailed(let type, let node, let reason): "operator '\(type)' (node '\(node)') failed: \(reason)"
        case .missingInput(let name): "the model's input '\(name)' was not given"
        case .unknownInput(let name, let suggestion, let inputs):
            "the model has no input '\(name)'\(Self.hint(suggestion)); its inputs are \(inputs.joined(separator: ", "))"
        case .wrongInput(let name, let expected, let found):
            "input '\(name)' is \(found) but the model takes \(expected): give data of that shape"
        case .unknownOutput(let name): "the graph computes no tensor '\(name)'"
        case .unknownValue(let name, let suggestion):
            "the graph computes no tensor '\(name)'\(Self.hint(suggestion))"
        case .notFinite(let what): "\(what) is not finite: lower the learning rate or check the data"
        case .badBatch(let reason), .badSetting(let reason): reason
        case .badMask(let name, let bits, let elements):
            "the mask of '\(name)' has \(bits) bits but the tensor \(elements) float32 elements: decide masks for this model"
        case .exportDiffers(let path, let output):
            "\(path) reads back as another model: its output '\(output)' differs; do not use it, and report this as a fault"
        case .runtime(let reason): "libtorch: \(reason)"
        }
    }

    private static func hint(_ suggestion: String?) -> String { suggestion.map { "; did you mean '\($0)'?" } ?? "" }
}
