import ArgumentParser
import Coordinator
import Foundation
import Monitor

struct CompareCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "compare",
        abstract: "Put two runs side by side: figures with differences, stages, weights, and what their plans say.",
        discussion: """
            A and B are state folders or report.json files. Differences are B minus A. The first line says whether the \
            runs are like and like: the same data, model and seed.

            Examples:
              pleach compare state-8-bits state-4-bits
              pleach compare old/out/report.json pleach-state --out both.html
            """)

    @Argument(help: "A state folder or a report.json.", completion: .file())
    var a: String

    @Argument(help: "Another one.", completion: .file())
    var b: String

    @Option(help: "Also write a page with both runs in each drawing.", completion: .file(extensions: ["html"]))
    var out: String?

    @Flag(help: "Print JSON.")
    var json = false

    func run() async throws {
        try await exitingOnError {
            let comparison = RunComparison(try report(a), try report(b), nameA: name(a), nameB: name(b))
            let text = json ? String(decoding: comparison.json(), as: UTF8.self) : comparison.text() + "\n"
            try FileHandle.standardOutput.write(contentsOf: Data(text.utf8))
            if let out { try comparison.writePage(to: out) }
        }
    }

    private func report(_ path: String) throws -> Report {
        var isFolder: ObjCBool = false
        guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else {
            throw CoordinatorError.state("\(path) is not there: give a state folder or a report.json")
        }
        guard isFolder.boolValue else { return try Report(contentsOf: path) }
        let (report, remarks) = try Report.ofState(path)
        remarks.forEach(printWarning)
        return report
    }

    /// What tells the one from the other: the folder of the state, or of the file where that has the usual name.
    private func name(_ path: String) -> String {
        var parts = path.split(separator: "/").map(String.init).filter { $0 != "." }
        if parts.count > 1, parts.last == "report.json" { parts.removeLast() }
        if parts.count > 1, parts.last == "out" { parts.removeLast() }
        return parts.last ?? path
    }
}
