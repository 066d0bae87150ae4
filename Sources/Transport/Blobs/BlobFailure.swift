/// Why a fetched blob did not come, told apart by whose fault it is.
public enum BlobFailure: Error, Sendable, Equatable, CustomStringConvertible {
    /// The transfer ended before its last byte; says nothing about the blob, so the same peer may be asked again.
    case broken(reason: String)
    /// The peer's fault: the bytes do not match their digest, their number is another than declared, or the peer that
    /// offered the blob does not have it.
    case wrong(reason: String)
    /// Our own storage does not take it; whoever sends it, it will not do better.
    case storage(reason: String, isDiskFull: Bool)

    public var reason: String {
        switch self {
        case .broken(let reason), .wrong(let reason), .storage(let reason, _): reason
        }
    }

    public var description: String { reason }
}
