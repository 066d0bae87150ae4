import Foundation
import Testing

/// `pleach logs` on what another program wrote, and a run that can tell nobody anything.
@Suite(.serialized, .timeLimit(.minutes(10)))
struct HostileLogCommandTests {
    private static let start = #"{"time":"2025-11-21T04:15:10.123Z","level":"warning","event":"worker.lost","#

    /// A state folder whose log holds a raw override, escapes, NUL, no text, a hole of a hundred megabytes, and a good line.
    private static func hostileState() throws -> ScratchFolder {
        let folder = try ScratchFolder()
        let logs = folder.path + "/logs"
        try FileManager.default.createDirectory(atPath: logs, withIntermediateDirectories: true)
        var bytes = Array((start + "\"worker\":\"a\u{202E}\u{9B}31m\",\"reason\":\"\\u001b]0;x\\u0007\\n\"}\r\n").utf8)
        bytes += Array((start + "\"worker\":\"\u{1B}[2J\"}\n").utf8)
        bytes += [0xFF, 0x00, 0x0A]
        let path = logs + "/coordinator.jsonl"
        try Data(bytes).write(to: URL(fileURLWithPath: path))
        try #require(truncate(path, 100 << 20) == 0)
        let handle = try FileHandle(forWritingTo: URL(fileURLWithPath: path))
        try handle.seekToEnd()
        try handle.write(contentsOf: Data(("\n" + start + "\"worker\":\"good\",\"reason\":\"gone\"}\n").utf8))
        try handle.close()
        try #require(mkfifo(logs + "/\u{1B}[2Jpipe.jsonl", 0o600) == 0)
        return folder
    }

    @Test(arguments: [[], ["--json"], ["--summary"], ["--summary", "--json"], ["--worker", "a\u{202E}\u{9B}31m"]])
    func aHostileLogMovesNoTerminal(options: [String]) async throws {
        let folder = try Self.hostileState()
        let (status, text) = try await PleachProcess.run(["logs", "--state", folder.path] + options)
        #expect(status == 0, "\(text.prefix(2000))")
        #expect(text.utf8.count < 10_000)
        for scalar in text.unicodeScalars where scalar != "\n" {
            let category = scalar.properties.generalCategory
            #expect(category != .control && category != .format, "\(text.prefix(2000))")
        }
        #expect(text.contains("gone") || options.contains("--summary") || options.contains("--worker"))
        if !options.contains("--summary") {
            for reason in ["longer than 1048576 bytes", "this is no regular file", "a bare control character"] {
                #expect(text.contains(reason), "\(reason)")
            }
        }
    }

    /// Standard output, standard error and the log are on a full disk: the run goes on, to the same end.
    @Test func aRunThatCanTellNothingFinishes() async throws {
        let folder = try ScratchFolder()
        let state = folder.path + "/state"
        let plan = try folder.file(
            "plan.yaml",
            """
            name: mute
            seed: 7
            model: {architecture: cnn, width: 4}
            data: "synthetic:digits?seed=7&samples=100"
            fleet: {workers: 1, quorum: 1, wait: 600s}
            stages:
              - train: {rounds: 1, epochs: 1, batch: 32, learningRate: 0.05}
            """)
        try FileManager.default.createDirectory(atPath: state + "/logs", withIntermediateDirectories: true)
        try FileManager.default.createSymbolicLink(
            atPath: state + "/logs/coordinator.jsonl", withDestinationPath: "/dev/full")
        let shell = Process()
        shell.executableURL = URL(fileURLWithPath: "/bin/sh")
        shell.arguments = [
            "-c", "exec \"$0\" \"$@\" >/dev/full 2>/dev/full", PleachProcess.binary.path, "run", plan, "--state", state,
        ]
        shell.standardInput = FileHandle.nullDevice
        shell.environment = ProcessInfo.processInfo.environment.merging(["OPENBLAS_NUM_THREADS": "1"]) { $1 }
        try shell.run()
        defer { if shell.isRunning { kill(shell.processIdentifier, SIGKILL) } }
        try await waitUntil("the run to end") { !shell.isRunning }
        #expect(shell.terminationReason == .exit)
        #expect(shell.terminationStatus == 0)
        #expect(FileManager.default.fileExists(atPath: state + "/out/report.json"))
    }

    /// An error that cannot be told still has its exit code.
    @Test func anErrorThatCannotBeToldKeepsItsCode() async throws {
        let shell = Process()
        shell.executableURL = URL(fileURLWithPath: "/bin/sh")
        shell.arguments = [
            "-c", "exec \"$0\" \"$@\" 2>/dev/full", PleachProcess.binary.path, "status", "--state", "/nowhere",
        ]
        shell.standardOutput = FileHandle.nullDevice
        try shell.run()
        try await waitUntil("the command to end") { !shell.isRunning }
        #expect(shell.terminationReason == .exit)
        #expect(shell.terminationStatus == 9)
    }
}
