/// Why a coordinator cannot start or go on; each case has its own exit code (README, "Exit codes").
public enum CoordinatorError: Error, Sendable, Equatable, CustomStringConvertible {
    case model(String)
    case planChanged(String)
    case state(String)

    /// For a budget of milliseconds where no runtime can be asked.
    static let needsRuntime = CoordinatorError.model(
        "a budget of milliseconds needs a Python with onnxruntime on this machine: set PLEACH_PYTHON to one, or give "
            + "'macs' instead")

    public var description: String {
        switch self {
        case .model(let message), .planChanged(let message), .state(let message): message
        }
    }
}
