import ArgumentParser
import Federation
import Foundation
import Monitor

struct LogsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "logs",
        abstract: "Show a run's events, from its state folder.",
        discussion: """
            Works beside a running coordinator or worker and after it. Events and their fields: protocols/log-events.md. \
            Example: pleach logs --state pleach-state --follow --event round
            """)

    @Option(help: "The state folder of a coordinator or worker.")
    var state = "pleach-state"

    @Flag(help: "Go on with new events as they come, until Ctrl-C.")
    var follow = false

    @Flag(help: "Print the lines of the log as they are: JSON.")
    var json = false

    @Option(help: "Only this event, such as round.closed, or a family of them, such as round.")
    var event: String?

    func run() async throws {
        try await exitingOnError {
            let file = try EventFile(state: state, event: event)
            let isTerminal = isatty(STDOUT_FILENO) == 1
            let isPlain = !ProcessInfo.processInfo.environment["NO_COLOR", default: ""].isEmpty
            var renderer = HumanRenderer(
                style: HumanRenderer.Style(
                    isLive: false, hasColours: isTerminal && !isPlain, showsEverything: true))
            guard follow else {
                for entry in file.poll() + file.unfinished() { try show(entry, &renderer) }
                return
            }
            try await file.follow(every: .milliseconds(200)) { try show($0, &renderer) }
        }
    }

    /// Written at once, so that a pipe sees each event when it happens.
    private func show(_ entry: LogEntry, _ renderer: inout HumanRenderer) throws {
        switch entry {
        case .event(let logged):
            let text = json ? logged.line + "\n" : renderer.render(logged)
            try FileHandle.standardOutput.write(contentsOf: Data(text.utf8))
        case .malformed(let log, let reason): printWarning("\(escapedForTerminal(log)).jsonl: \(reason)")
        }
    }
}
