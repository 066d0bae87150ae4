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
    private var sources: [Source] = []
    /// The next entry of each log, the earliest last; of one instant, that of the log found first.
    private var heads: [Head] = []

    private struct Source {
        var log: String
        var tail: LogTail
        /// Of its last event. A malformed line has none of its own: it keeps its place after the line before it.
        var time = ""
    }

    private struct Head {
        var time: String
        var source: Int
        var entry: LogEntry

        func isEarlier(than other: Head) -> Bool { (time, source) < (other.time, other.source) }
    }

    /// - Parameters:
    ///   - state: the state folder; logs are in its `logs`.
    ///   - filter: which events are handed out; lines that cannot be read always are.
    public init(state: String, filter: EventFilter = EventFilter()) throws(MonitorError) {
        folder = state + "/logs"
        self.filter = filter
        guard !Self.logs(in: folder).isEmpty else { throw .noLogs(state) }
    }

    /// Hands out the entries since the last call, the logs woven together by time; the first call gives everything that
    /// was logged so far. Memory is a piece of each log, however long they are.
    ///
    /// Each log keeps its own order, also where its clock was set back.
    public func read(_ body: (LogEntry) throws -> Void) rethrows {
        for log in Self.logs(in: folder) where !sources.contains(where: { $0.log == log }) {
            sources.append(Source(log: log, tail: LogTail(path: "\(folder)/\(log)\(LogFileName.suffix)")))
        }
        for index in sources.indices {
            sources[index].tail.look()
            // One whose reader stopped in the middle last time may still have its head.
            if !heads.contains(where: { $0.source == index }) { advance(index) }
        }
        while let head = heads.popLast() {
            defer { advance(head.source) }
            try body(head.entry)
        }
    }

    /// What `read` hands out, all at once.
    public func poll() -> [LogEntry] {
        var entries: [LogEntry] = []
        read { entries.append($0) }
        return entries
    }

    /// Puts the next wanted entry of a log in its place among the heads.
    private func advance(_ index: Int) {
        guard let entry = next(of: index) else { return }
        let head = Head(time: sources[index].time, source: index, entry: entry)
        // What comes next in a log is seldom far away in time, so the place is near the end.
        var place = heads.count
        while place > 0, heads[place - 1].isEarlier(than: head) { place -= 1 }
        heads.insert(head, at: place)
    }

    private func next(of index: Int) -> LogEntry? {
        while let line = sources[index].tail.next() {
            let entry = read(line, log: sources[index].log)
            if case .event(let event) = entry { sources[index].time = event.time }
            if isWanted(entry) { return entry }
        }
        return nil
    }

    /// The beginnings of lines that have no end yet: being written, or cut by a crash.
    public func unfinished() -> [LogEntry] {
        sources.filter { !$0.tail.unfinished.isEmpty }
            .map { .malformed(log: $0.log, reason: "the last line has no end: its writer was stopped within it") }
    }

    /// Hands out entries as they come until the task is cancelled or `body` throws.
    public func follow(every interval: Duration, _ body: (LogEntry) throws -> Void) async throws {
        while true {
            try read(body)
            try await Task.sleep(for: interval)
        }
    }

    private func read(_ line: LogTail.Line, log: String) -> LogEntry {
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
