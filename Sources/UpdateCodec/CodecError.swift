import Tensors

/// Why an update could not be written, read or folded. Every case names the tensor or field and the way out.
public enum CodecError: Error, Equatable, Sendable, CustomStringConvertible {
    case notAnUpdate
    case unsupportedVersion(UInt8)
    case truncated(field: String, offset: Int)
    case trailingBytes(Int)
    /// A field that breaks the format. `offset` counts from the start of the file, or of the body once it is unpacked.
    case malformed(field: String, offset: Int, reason: String)
    case limitExceeded(field: String, value: Int, limit: Int)
    case layoutMismatch(tensor: String, reason: String)
    case maskMismatch(tensor: String, reason: String)
    case wrongMaskEpoch(expected: UInt32, found: UInt32)
    case notFinite(tensor: String)
    case notFloat32(tensor: String, found: ElementType)
    case invalidScheme(String)
    case budgetTooSmall(budget: Int, needed: Int)
    case invalidBase(byteCount: Int)
    case valueBeyondFold(tensor: String, magnitude: Float)
    case weightBeyondFold(total: UInt64)

    public var description: String {
        switch self {
        case .notAnUpdate: "not an update: the first bytes are not 'PLUP'; pass a blob in the update format"
        case .unsupportedVersion(let version):
            "update format version \(version) is unknown here (known: \(UpdateHeader.version)); use a matching Pleach"
        case .truncated(let field, let offset):
            "the update ends at byte \(offset), within \(field); fetch it again"
        case .trailingBytes(let count): "\(count) bytes follow the end of the update; fetch it again"
        case .malformed(let field, let offset, let reason):
            "\(field) at byte \(offset) of the update \(reason); the sender is faulty"
        case .limitExceeded(let field, let value, let limit):
            "\(field) is \(value), above the limit of \(limit); raise CodecLimits if this is meant"
        case .layoutMismatch(let tensor, let reason):
            "tensor '\(tensor)' does not fit the model: \(reason); sender and receiver need the same snapshot"
        case .maskMismatch(let tensor, let reason):
            "tensor '\(tensor)' does not fit its mask: \(reason); sender and receiver need the same mask epoch"
        case .wrongMaskEpoch(let expected, let found):
            "the update has mask epoch \(found) where \(expected) is needed; fetch the current snapshot"
        case .notFinite(let tensor): "tensor '\(tensor)' holds an infinity or a NaN; lower the learning rate"
        case .notFloat32(let tensor, let found): "tensor '\(tensor)' is \(found); convert it to float32 first"
        case .invalidScheme(let reason): "the wire scheme is invalid: \(reason)"
        case .budgetTooSmall(let budget, let needed):
            "a budget of \(budget) bytes is too small: \(needed) go into the header and masks alone; raise it"
        case .invalidBase(let count): "the base digest has \(count) bytes instead of \(UpdateHeader.baseByteCount)"
        case .valueBeyondFold(let tensor, let magnitude):
            "tensor '\(tensor)' holds ±\(magnitude), folding takes at most ±\(FoldAccumulator.largestMagnitude)"
        case .weightBeyondFold(let total):
            "the weights would add up to \(total), folding takes 1 to \(FoldAccumulator.largestTotalWeight) in total"
        }
    }
}
