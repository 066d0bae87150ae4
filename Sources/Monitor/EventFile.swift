import Federation
import Foundation

/// One line read back from a log.
public struct LoggedEvent: Sendable, Equatable {
    /// ISO 8601, UTC, as written.
    public var time: String
    public var event: LogEvent
    /// Which log it stands in: the writer's name.
    public var log: String
    /// The line as it stands in the file, without its newline.
    public var line: String
}

/// What a reader of logs gets.
public enum LogEntry: Sendable, Equatable {
    case event(LoggedEvent)
    /// A line that is no event; reading goes on after it.
    case malformed(log: String, reason: String)
}

/// Reads STATE/logs/*.jsonl and goes on reading as they grow, are rotated, or new ones appear.
///
/// Not thread-safe: one reader, one `EventFile`.
public final class EventFile {
    private let folder: String
    private let filter: EventFilter
    private var tails: [(log: String, tail: LogTail)] = []

    /// - Parameters:
    ///   - state: the state folder; logs are in its `logs`.
    ///   - filter: which events are handed out; lines that cannot be read always are.
    public init(state: String, filter: EventFilter = EventFilter()) throws(MonitorError) {
        folder = state + "/logs"
        self.filter = filter
        guard !Self.logs(in: folder).isEmpty else { throw .noLogs(state) }
    }

    /// Entries since the last call, in order of time; the first call gives everything that was logged so far.
    public func poll() -> [LogEntry] {
        for log in Self.logs(in: folder) where !tails.contains(where: { $0.log == log }) {
            tails.append((log, LogTail(path: "\(folder)/\(log)\(LogFileName.suffix)")))
        }
        var entries: [(time: String, entry: LogEntry)] = []
        for (log, tail) in tails {
            // A malformed line has no time of its own: it keeps its place after the line before it.
            var time = ""
            for line in tail.poll() {
                let entry = read(line, log: log)
                if case .event(let event) = entry { time = event.time }
                if let entry, isWanted(entry) { entries.append((time, entry)) }
            }
        }
        // Swift's sort is stable, so what happened in the same millisecond keeps the order of its file.
        return entries.sorted { $0.time < $1.time }.map(\.entry)
    }

    /// The beginnings of lines that have no end yet: being written, or cut by a crash.
    public func unfinished() -> [LogEntry] {
        tails.filter { !$0.tail.unfinished.isEmpty }
            .map { .malformed(log: $0.log, reason: "the last line has no end: its writer was stopped within it") }
    }

    /// Hands out entries as they come until the task is cancelled or `body` throws.
    public func follow(every interval: Duration, _ body: (LogEntry) throws -> Void) async throws {
        while true {
            for entry in poll() { try body(entry) }
            try await Task.sleep(for: interval)
        }
    }

    private func read(_ line: LogTail.Line, log: String) -> LogEntry? {
        switch line {
        case .unreadable(let reason): return .malformed(log: log, reason: reason)
        case .complete(let bytes):
            do {
                let (time, event) = try EventLineParser.parse(bytes)
                return .event(
                    LoggedEvent(time: time, event: event, log: log, line: String(decoding: bytes, as: UTF8.self)))
            } catch {
                return .malformed(log: log, reason: error.reason)
            }
        }
    }

    private func isWanted(_ entry: LogEntry) -> Bool {
        if case .event(let logged) = entry { filter.accepts(logged) } else { true }
    }

    private static func logs(in folder: String) -> [String] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        return names.filter { $0.hasSuffix(LogFileName.suffix) }.map { String($0.dropLast(LogFileName.suffix.count)) }
            .sorted()
    }
}
