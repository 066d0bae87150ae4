import Foundation

/// A child of this very program. It holds the reading end of a pipe as standard input and stops when that closes, so it
/// never outlives us, even if we are killed.
final class ChildProcess: Sendable {
    enum Status: Equatable {
        case running
        case exited(Int32)
        case signalled(Int32)
    }

    private let process = Process()
    private let lifeline = Pipe()
    private let log: String?

    /// Starts `pleach` with the arguments; output goes to `log`, or to our own terminal.
    /// - Parameter withheld: variables of our environment that are none of the child's business.
    init(_ arguments: [String], log: String?, withheld: [String] = []) throws {
        self.log = log
        process.executableURL = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
        process.arguments = arguments
        process.standardInput = lifeline.fileHandleForReading
        // A worker's BLAS must not start a thread per core beside libtorch's own.
        var environment = ProcessInfo.processInfo.environment
        environment["OPENBLAS_NUM_THREADS"] = environment["OPENBLAS_NUM_THREADS"] ?? "1"
        // With more than one thread, libgomp's spinning would take the other workers' cores.
        environment["OMP_WAIT_POLICY"] = environment["OMP_WAIT_POLICY"] ?? "passive"
        for name in withheld { environment[name] = nil }
        process.environment = environment
        if let log {
            _ = FileManager.default.createFile(atPath: log, contents: nil)
            let handle = try FileHandle(forWritingTo: URL(fileURLWithPath: log))
            process.standardOutput = handle
            process.standardError = handle
        }
        try process.run()
    }

    var identifier: Int32 { process.processIdentifier }

    var isRunning: Bool { process.isRunning }

    var status: Status {
        if process.isRunning { return .running }
        return process.terminationReason == .exit
            ? .exited(process.terminationStatus) : .signalled(process.terminationStatus)
    }

    func terminate() { if process.isRunning { process.terminate() } }

    func wait() async {
        while process.isRunning { try? await Task.sleep(for: .milliseconds(20)) }
    }

    /// Waits ten seconds for an orderly end, then kills.
    func waitOrKill() {
        for _ in 0..<200 where process.isRunning { usleep(50_000) }
        if process.isRunning { kill(process.processIdentifier, SIGKILL) }
    }

    /// The last line the child wrote, for the error message.
    var lastLogLine: String {
        guard let log, let text = try? String(contentsOfFile: log, encoding: .utf8) else { return "(no output)" }
        return text.split(separator: "\n").last.map(String.init) ?? "(no output)"
    }
}
