import ArgumentParser
import Foundation

/// The manual page, made from what `--help` knows.
struct ManualCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "manual",
        abstract: "Print the manual page, for man(1).",
        discussion: """
            Examples:
              pleach manual | man -l -
              pleach manual > ~/.local/share/man/man1/pleach.1
            """)

    func run() async throws {
        try await exitingOnError {
            print(
                try ManualPage(helpJSON: Pleach._dumpHelp(), version: Pleach.configuration.version).text(),
                terminator: "")
        }
    }
}
