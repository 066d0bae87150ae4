import Federation
import Foundation
import Monitor
import Synchronization

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
    init(state: String, name: String, json: Bool, quiet: Bool = false, bytes: Int, files: Int) throws {
        writer = try EventWriter(directory: state + "/logs", name: name, maximumBytes: bytes, files: files)
        self.json = json
        self.quiet = quiet
        sink = quiet ? nil : ConsoleChoice.choose(json: json, isTerminal: isatty(STDOUT_FILENO) == 1)
    }

    func take(_ event: LogEvent) {
        writer.write(event)
        sink?.take(event)
    }

    /// A line for people, left out where machines read.
    func note(_ text: String) {
        guard !json, !quiet else { return }
        // Straight to the descriptor, as events are: what is buffered would come after them.
        FileHandle.standardOutput.write(Data((text + "\n").utf8))
    }

    func close() { sink?.close() }
}
