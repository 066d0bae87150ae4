import Foundation

/// What can go wrong while watching a run.
public enum MonitorError: Error, Equatable, CustomStringConvertible {
    /// A file or folder cannot be read or written.
    case file(path: String, operation: String, errno: Int32)
    /// A log's name has no use as a file name.
    case logName(String)
    /// A folder holds no logs.
    case noLogs(String)
    /// A file that is no report.
    case report(String)
    /// An address for the status page that cannot be understood.
    case address(String)
    /// An address beyond this machine, and no token.
    case addressNeedsToken(String)
    /// What was given as a token is none; names where it came from, never what it holds.
    case token(String)
    /// A token's file that everybody may read.
    case tokenExposed(String)
    case addressInUse(String)
    case serverFailed(address: String, reason: String)
    case url(String)
    case request(url: String, reason: String)

    /// Whether the disk (or the quota on it) is full.
    public var isDiskFull: Bool {
        if case .file(_, _, let number) = self { number == ENOSPC || number == EDQUOT } else { false }
    }

    /// Whether it is about an address or a connection, not a file.
    public var concernsNetwork: Bool {
        switch self {
        case .address, .addressNeedsToken, .token, .tokenExposed, .addressInUse, .serverFailed, .url, .request: true
        case .file, .logName, .noLogs, .report: false
        }
    }

    public var description: String {
        switch self {
        case .file(let path, let operation, let number):
            "cannot \(operation) \(path): \(String(cString: strerror(number)))"
        case .logName(let name):
            "'\(escapedForTerminal(name))' cannot name a log file: give 1 to 80 characters"
        case .noLogs(let directory): "\(directory) holds no logs/*.jsonl: name the folder given to --state"
        case .report(let path):
            "\(escapedForTerminal(path)) is no report: give an out/report.json, or the state folder that it is from"
        case .address(let text):
            "'\(escapedForTerminal(text))' is no address to serve on: give IP:PORT such as 127.0.0.1:7780, [::1]:7780 or "
                + "0.0.0.0:7780; names other than localhost are not taken"
        case .addressNeedsToken(let text):
            "serving the status page on \(escapedForTerminal(text)) needs a token: give --http-token FILE or set "
                + "\(AccessToken.variable) (openssl rand -hex 24 makes one); or use 127.0.0.1 and ssh -L"
        case .token(let origin):
            "\(escapedForTerminal(origin)) holds no token: it takes \(AccessToken.lengths.lowerBound) to "
                + "\(AccessToken.lengths.upperBound) letters, digits or -._~+/= (openssl rand -hex 24 makes one)"
        case .tokenExposed(let path):
            "every user can read the token in \(escapedForTerminal(path)): chmod 600 \(escapedForTerminal(path))"
        case .addressInUse(let text):
            "the status page cannot be served on \(text): the port is in use; give another port to --http"
        case .serverFailed(let address, let reason): "the status page cannot be served on \(address): \(reason)"
        case .url(let text):
            "'\(escapedForTerminal(text))' is no URL of a status page: give http://HOST:PORT (https is not supported)"
        case .request(let url, let reason): "no status from \(escapedForTerminal(url)): \(escapedForTerminal(reason))"
        }
    }
}
