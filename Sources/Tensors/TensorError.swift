/// What can be wrong with a tensor or a file of tensors.
public enum TensorError: Error, Equatable, Sendable, CustomStringConvertible {
    case invalidShape([Int])
    case byteCountMismatch(name: String, expected: Int, found: Int)
    case wrongElementType(name: String, expected: ElementType, found: ElementType)
    case missingTensor(String)
    case duplicateTensor(String)
    /// A file that breaks its own format. `reason` is one sentence naming the offending field.
    case malformedFile(path: String, reason: String)
    case unreadableFile(path: String, reason: String)
    case unwritableFile(path: String, reason: String)

    public var description: String {
        switch self {
        case .invalidShape(let dimensions):
            "shape \(dimensions) is invalid: extents must be non-negative and their product must fit in 63 bits"
        case .byteCountMismatch(let name, let expected, let found):
            "tensor '\(name)' needs \(expected) bytes but has \(found)"
        case .wrongElementType(let name, let expected, let found):
            "tensor '\(name)' is \(found) where \(expected) is needed"
        case .missingTensor(let name): "tensor '\(name)' is missing"
        case .duplicateTensor(let name): "tensor '\(name)' appears twice"
        case .malformedFile(let path, let reason): "\(path): \(reason)"
        case .unreadableFile(let path, let reason): "cannot read \(path): \(reason)"
        case .unwritableFile(let path, let reason): "cannot write \(path): \(reason)"
        }
    }
}
