/// Why a worker cannot start or go on; each case has its own exit code (README, "Exit codes").
public enum WorkerError: Error, Sendable, Equatable, CustomStringConvertible {
    case state(String)
    case data(String)
    case model(String)
    case network(String)
    case keys(String)

    public var description: String {
        switch self {
        case .state(let message), .data(let message), .model(let message), .network(let message), .keys(let message):
            message
        }
    }
}

/// A task that could not be done; the coordinator is told `description`.
struct TaskFailure: Error, CustomStringConvertible {
    var description: String

    init(_ description: String) { self.description = description }
}
