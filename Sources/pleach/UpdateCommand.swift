import ArgumentParser

struct UpdateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "update", abstract: "Look into the blobs that travel.",
        discussion: "Example: pleach update inspect pleach-state/blobs/ab/abcd...",
        subcommands: [UpdateInspectCommand.self])
}

struct UpdateInspectCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "inspect",
        abstract: "Explain any blob of a state folder or of the wire.",
        discussion: """
            Told by its first bytes: an update, delta or scores (how each tensor is coded, and what the words mean), a \
            packed graph, an ONNX model, a snapshot, a residual, or a calibration set.
            Example: pleach update inspect protocols/vectors/mask-change.bin --json
            """)

    @Argument(help: "The blob's file.")
    var file: String

    @Flag(help: "Print JSON.")
    var json = false

    func run() async throws {
        try await exitingOnError {
            let report = try BlobReport(path: file)
            if json { return try printJSON(report) }
            print(report.lines.joined(separator: "\n"))
        }
    }
}
