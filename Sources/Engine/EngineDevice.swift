/// Where a process computes.
public enum EngineDevice: Sendable, Equatable, CustomStringConvertible {
    case cpu
    /// A GPU by its number.
    case cuda(Int)

    /// - Parameter text: `cpu`, `cuda` (the first GPU) or `cuda:N`.
    /// - Throws: `EngineError.badSetting` for another word.
    public init(parsing text: String) throws(EngineError) {
        switch text {
        case "cpu": self = .cpu
        case "cuda": self = .cuda(0)
        default:
            let digits = text.dropFirst("cuda:".count)
            guard text.hasPrefix("cuda:"), digits.allSatisfy({ ("0"..."9").contains($0) }), let index = Int(digits),
                index < 128
            else { throw .badSetting("device '\(text)' is not known: give cpu, cuda or cuda:N") }
            self = .cuda(index)
        }
    }

    public var description: String {
        switch self {
        case .cpu: "cpu"
        case .cuda(let index): "cuda:\(index)"
        }
    }
}
