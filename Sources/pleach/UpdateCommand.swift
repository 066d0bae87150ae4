import ArgumentParser
import Foundation
import UpdateCodec

struct UpdateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "update", abstract: "Look into compressed updates.",
        discussion: "Example: pleach update inspect pleach-state/blobs/ab/abcd...",
        subcommands: [UpdateInspectCommand.self])
}

struct UpdateInspectCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "inspect",
        abstract: "Explain an update, delta or score container: header, and how each tensor is coded.",
        discussion: "Example: pleach update inspect protocols/vectors/ternary.bin --json")

    @Argument(help: "A blob file in the update format.")
    var file: String

    @Flag(help: "Print JSON.")
    var json = false

    func run() async throws {
        try await exitingOnError {
            let description = try UpdateDescription(describing: readFile(file))
            if json { return try printJSON(description) }
            print(description.table)
        }
    }
}
