import Federation
import Foundation

/// Which events of a log are wanted; what is empty or nil excludes nothing.
public struct EventFilter: Sendable, Equatable {
    /// Names, such as `round.closed`, or families of them, such as `round`.
    public var events: [String] = []
    public var rounds: ClosedRange<Int>?
    /// Events of these workers: about them, or in their own logs.
    public var workers: [String] = []
    /// A time as logs write it, or the beginning of one.
    public var since: String?
    public var minimumLevel = LogLevel.debug

    public init() {}

    public func accepts(_ logged: LoggedEvent) -> Bool {
        let event = logged.event
        guard event.level >= minimumLevel else { return false }
        if let since, logged.time < since { return false }
        if !events.isEmpty, !events.contains(where: { event.name == $0 || event.name.hasPrefix($0 + ".") }) {
            return false
        }
        if let rounds {
            guard case .int(let round)? = event["round"], rounds.contains(round) else { return false }
        }
        return workers.isEmpty || workers.contains { isAbout($0, event) || logged.log == LogFileName.encoded($0) }
    }

    /// A round that waits is about each worker it waits for.
    private func isAbout(_ worker: String, _ event: LogEvent) -> Bool {
        if event["worker"] == .string(worker) { return true }
        guard case .strings(let missing)? = event["missing"] else { return false }
        return missing.contains(worker)
    }

    /// `7` or `3-9` (also `3...9`).
    public static func rounds(parsing text: String) -> ClosedRange<Int>? {
        let bounds = text.replacing("...", with: "-").split(separator: "-", omittingEmptySubsequences: false).map {
            $0.allSatisfy(\.isASCII) ? Int($0) : nil
        }
        guard (1...2).contains(bounds.count), let first = bounds[0], let last = bounds[bounds.count - 1], first <= last
        else { return nil }
        return first...last
    }

    /// An age (`90s`, `10m`, `2h`, `3d`) or a time in UTC (`2025-11-21T04:15`, cut after any part), as logs write it.
    public static func since(parsing text: String, now: Date = Date()) -> String? {
        if let unit = text.last.flatMap({ ["s": 1.0, "m": 60, "h": 3600, "d": 86_400][$0] }),
            let count = Double(text.dropLast()), count >= 0, count.isFinite
        {
            return EventTime.text(now.addingTimeInterval(-count * unit))
        }
        let shape = /[0-9]{4}-[0-9]{2}-[0-9]{2}(?:T[0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,3})?)?)?Z?/
        guard text.wholeMatch(of: shape) != nil else { return nil }
        return text.hasSuffix("Z") ? String(text.dropLast()) : text
    }
}
