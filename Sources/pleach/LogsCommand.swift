import ArgumentParser
import Federation
import Foundation
import Monitor

struct LogsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "logs",
        abstract: "Show a run's events, from its state folder.",
        discussion: """
            Works beside a running coordinator or worker and after it. Options narrow what is shown, also with --follow; \
            each may be given several times where it says so, and an event must fit all of them. Events and their \
            fields: protocols/log-events.md.

            Examples:
              pleach logs --state pleach-state --follow --event round
              pleach logs --round 3-9 --worker site-b --level warning
              pleach logs --since 10m --json
              pleach logs --summary
            """)

    @Option(help: "The state folder of a coordinator or worker.", completion: .directory)
    var state = "pleach-state"

    @Flag(help: "Go on with new events as they come, until Ctrl-C.")
    var follow = false

    @Flag(help: "Print the lines of the log as they are: JSON; with --summary one JSON object.")
    var json = false

    @Option(help: "Only this event, such as round.closed, or a family of them, such as round. Several times for more.")
    var event: [String] = []

    @Option(help: "Only this round, such as 7, or these, such as 3-9.")
    var round: String?

    @Option(help: "Only events about this worker, or of its own log. Several times for more.")
    var worker: [String] = []

    @Option(help: "Only events of the last 90s, 10m, 2h or 3d, or since a time in UTC such as 2025-11-21T04:15.")
    var since: String?

    @Option(help: "Least level of events.")
    var level = LogLevel.debug

    @Flag(help: "Print what the events amount to: rounds, bytes, times, refusals by reason, each worker's part.")
    var summary = false

    func validate() throws {
        if follow, summary { throw ValidationError("give --follow or --summary, not both") }
    }

    /// What the options ask for.
    private func filter() throws -> EventFilter {
        var filter = EventFilter()
        filter.events = event
        filter.workers = worker
        filter.minimumLevel = level
        for name in event where !EventName.all.contains(where: { $0 == name || $0.hasPrefix(name + ".") }) {
            throw ValidationError("--event '\(name)' is no event: names are in protocols/log-events.md")
        }
        if let round {
            filter.rounds = EventFilter.rounds(parsing: round)
            guard filter.rounds != nil else { throw ValidationError("--round '\(round)' is no round such as 7 or 3-9") }
        }
        if let since {
            filter.since = EventFilter.since(parsing: since)
            guard filter.since != nil else {
                throw ValidationError(
                    "--since '\(since)' is neither an age such as 10m nor a time such as 2025-11-21T04:15")
            }
        }
        return filter
    }

    func run() async throws {
        try await exitingOnError {
            let file = try EventFile(state: state, filter: try filter())
            if summary { return try summarize(file) }
            let isTerminal = isatty(STDOUT_FILENO) == 1
            let isPlain = !ProcessInfo.processInfo.environment["NO_COLOR", default: ""].isEmpty
            var renderer = HumanRenderer(
                style: HumanRenderer.Style(
                    isLive: false, hasColours: isTerminal && !isPlain, showsEverything: true))
            guard follow else {
                try file.read { try show($0, &renderer) }
                for entry in file.unfinished() { try show(entry, &renderer) }
                return
            }
            try await file.follow(every: .milliseconds(200)) { try show($0, &renderer) }
        }
    }

    private func summarize(_ file: EventFile) throws {
        var summary = LogSummary()
        file.read { summary.add($0) }
        for entry in file.unfinished() { summary.add(entry) }
        let text = json ? String(decoding: summary.json(), as: UTF8.self) : summary.text() + "\n"
        try FileHandle.standardOutput.write(contentsOf: Data(text.utf8))
    }

    /// Written at once, so that a pipe sees each event when it happens.
    private func show(_ entry: LogEntry, _ renderer: inout HumanRenderer) throws {
        switch entry {
        case .event(let logged):
            let text = json ? escapedJSON(logged.line) + "\n" : renderer.render(logged)
            try FileHandle.standardOutput.write(contentsOf: Data(text.utf8))
        case .malformed(let log, let reason): printWarning("\(escapedForTerminal(log)).jsonl: \(reason)")
        }
    }
}
