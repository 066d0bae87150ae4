import ArgumentParser
import Federation
import Foundation
import Monitor
import Synchronization

extension LogLevel: ExpressibleByArgument {}

/// How much a daemon says.
struct LogOptions: ParsableArguments {
    @Option(help: "Least level of events to log and show.")
    var logLevel = LogLevel.debug
}

/// Where a daemon's events go: its log file always, and the terminal as JSON lines or drawn for people.
final class EventConsole: Sendable {
    private let writer: EventWriter
    private let sink: (any ConsoleSink)?
    private let json: Bool
    private let quiet: Bool

    /// - Parameters:
    ///   - name: the log is STATE/logs/NAME.jsonl.
    ///   - quiet: nothing but errors on the terminal.
    ///   - bytes: of one log file; `files` of them are kept.
    init(
        state: String, name: String, json: Bool, quiet: Bool = false, bytes: Int, files: Int, log: LogOptions
    ) throws {
        self.json = json
        self.quiet = quiet
        let sink =
            quiet
            ? nil
            : ConsoleChoice.choose(json: json, isTerminal: isatty(STDOUT_FILENO) == 1, minimumLevel: log.logLevel)
        self.sink = sink
        writer = try EventWriter(
            directory: state + "/logs", name: name, maximumBytes: bytes, files: files, minimumLevel: log.logLevel
        ) { text in
            if let sink { sink.warn(text) } else { printWarning(text) }
        }
    }

    func take(_ event: LogEvent) {
        writer.write(event)
        sink?.take(event)
    }

    /// On a terminal: draws bars for what is under way.
    func follow(_ bars: @escaping @Sendable () async -> [LiveBar]) { sink?.follow(bars) }

    /// A line for people, left out where machines read.
    func note(_ text: String) {
        guard !json, !quiet else { return }
        // Straight to the descriptor, as events are: what is buffered would come after them.
        writeText(text + "\n", to: STDOUT_FILENO)
    }

    func close() { sink?.close() }
}
