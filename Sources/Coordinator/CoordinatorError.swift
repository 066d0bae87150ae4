/// Why a coordinator cannot start or go on; each case has its own exit code (README, "Exit codes").
public enum CoordinatorError: Error, Sendable, Equatable, CustomStringConvertible {
    case model(String)
    case planChanged(String)
    case state(String)

    public var description: String {
        switch self {
        case .model(let message), .planChanged(let message), .state(let message): message
        }
    }
}
