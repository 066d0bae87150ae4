import ArgumentParser
import Coordinator
import Foundation
import Monitor

struct ReportCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "report",
        abstract: "Write a run's report again from its state folder: a page that needs nothing else.",
        discussion: """
            The coordinator writes out/report.html when a run ends. This makes it again, the same bytes for a finished \
            run; of a run that goes on or was stopped it tells what its ledger holds so far. It works beside a running \
            coordinator.

            Examples:
              pleach report pleach-state
              pleach report pleach-state --out so-far.html
              pleach report pleach-state --json
            """)

    @Argument(help: "The coordinator's state folder.", completion: .directory)
    var state: String

    @Option(help: "Where the page goes; STATE/out/report.html unless given.", completion: .file(extensions: ["html"]))
    var out: String?

    @Flag(help: "Print the report as JSON, as in out/report.json; a page is written only with --out.")
    var json = false

    func run() async throws {
        try await exitingOnError {
            let (report, remarks) = try Report.ofState(state)
            remarks.forEach(printWarning)
            if json {
                // The same JSON as in the file; names in it cannot move a terminal.
                let text = escapedJSON(String(decoding: report.serialized(), as: UTF8.self))
                try FileHandle.standardOutput.write(contentsOf: Data(text.utf8))
            }
            if json, out == nil { return }
            let path = out ?? state + "/out/report.html"
            // A run that has not ended has no such folder yet.
            if out == nil { try makeFolder(state + "/out") }
            try report.writePage(to: path)
            if !json { print(escapedForTerminal(path, limit: 4000)) }
        }
    }

    private func makeFolder(_ path: String) throws {
        do {
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        } catch {
            throw CoordinatorError.state("\(path) cannot be made: give --out FILE for a page somewhere else")
        }
    }
}
