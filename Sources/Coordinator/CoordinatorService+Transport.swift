import Federation
import Transport

extension BlobFault {
    /// What a failed transfer says about the worker it came from.
    init(_ failure: BlobFailure) {
        switch failure {
        case .wrong(let reason): self = .wrong(reason: reason)
        case .broken(let reason), .storage(let reason, _): self = .broken(reason: reason)
        }
    }
}

extension TurnAwayReason {
    /// Why a connection was turned away, and what helps.
    func advice(key: String, _ options: CoordinatorOptions) -> String {
        let limits = options.plan.limits
        switch self {
        case .keyNotAllowed:
            return "key is not allowed; to allow it: pleach keys allow \(options.state)/keys '\(key)' --name NAME"
        case .tooManyConnections:
            return
                "the key has \(limits.connectionsPerKey) connections already; stop other workers with this key or raise "
                + "'connectionsPerKey' in the plan's limits"
        case .serverFull:
            return "there are \(limits.peers) connections already; raise 'peers' in the plan's limits"
        }
    }
}
