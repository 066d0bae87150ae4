import Foundation

/// One `pleach` process that is started, stopped and killed again and again: the coordinator, or a worker.
final class Node {
    enum Ending: Equatable {
        case exited(Int32)
        case signalled(Int32)
    }

    let name: String
    /// The whole command line.
    let command: [String]
    /// Where it writes its events, and everything else it prints.
    let log: String
    let output: String
    private(set) var process: pid_t?
    private var lifeline: Int32 = -1

    init(name: String, command: [String], log: String, output: String) {
        self.name = name
        self.command = command
        self.log = log
        self.output = output
    }

    var isCoordinator: Bool { name == "coordinator" }

    /// Starts the process. Its standard input is a pipe that closes with us: `--exit-with-standard-input` ends it then.
    func start() throws {
        precondition(process == nil, "\(name) runs already")
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { throw ChaosError("no pipe: errno \(errno)") }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        defer { close(ends[0]) }
        do {
            process = try spawn(command, input: ends[0], output: output)
            lifeline = ends[1]
        } catch {
            close(ends[1])
            throw error
        }
    }

    func signal(_ number: Int32) { if let process { kill(process, number) } }

    /// Kills the process, whatever state it is in, and waits until it is gone.
    func killNow() {
        guard let process else { return }
        kill(process, SIGKILL)
        _ = reap(process, blocking: true)
        forget()
    }

    /// How the process ended by itself; nil while it runs or when none was started.
    func ending() -> Ending? {
        guard let process, let ending = reap(process, blocking: false) else { return nil }
        forget()
        return ending
    }

    private func forget() {
        close(lifeline)
        (process, lifeline) = (nil, -1)
    }
}

/// Why the harness itself cannot go on.
public struct ChaosError: Error, CustomStringConvertible {
    public let description: String

    init(_ description: String) { self.description = description }
}
