import Federation
import Foundation
import Testing

@testable import Monitor

@Suite struct EventFilterTests {
    private static func logged(
        _ name: String, _ fields: KeyValuePairs<String, LogValue> = [:], level: LogLevel = .info,
        time: String = "2025-11-21T04:15:10.123Z", log: String = "coordinator"
    ) -> LoggedEvent {
        LoggedEvent(time: time, event: LogEvent(name, level: level, fields), log: log, line: "")
    }

    private static let events = [
        logged("run.started", time: "2025-11-21T04:00:00.000Z"),
        logged("round.opened", ["round": .int(3)]),
        logged("round.waiting", ["round": .int(3), "missing": .strings(["a", "b"])]),
        logged("contribution.accepted", ["round": .int(3), "worker": .string("a")]),
        logged("contribution.refused", ["round": .int(4), "worker": .string("b")], level: .warning),
        logged("task.finished", ["round": .int(5)], log: "site%20c"),
        logged("run.failed", ["reason": .string("x")], level: .error, time: "2025-11-21T05:00:00.000Z"),
    ]

    private static func accepted(_ change: (inout EventFilter) -> Void) -> [Int] {
        var filter = EventFilter()
        change(&filter)
        return events.indices.filter { filter.accepts(events[$0]) }
    }

    @Test func eachConditionNarrows() {
        #expect(Self.accepted { _ in } == Array(0..<7))
        #expect(Self.accepted { $0.events = ["round", "run.failed"] } == [1, 2, 6])
        #expect(Self.accepted { $0.rounds = 3...3 } == [1, 2, 3])
        #expect(Self.accepted { $0.rounds = 4...9 } == [4, 5])
        #expect(Self.accepted { $0.workers = ["a"] } == [2, 3])
        #expect(Self.accepted { $0.workers = ["b", "site c"] } == [2, 4, 5])
        #expect(Self.accepted { $0.minimumLevel = .warning } == [4, 6])
        #expect(Self.accepted { $0.since = "2025-11-21T04:15" } == [1, 2, 3, 4, 5, 6])
        #expect(Self.accepted { $0.since = "2025-11-21T04:15:10.124" } == [6])
    }

    @Test func allConditionsMustHold() {
        #expect(
            Self.accepted {
                $0.events = ["contribution"]
                $0.rounds = 3...4
                $0.workers = ["a", "b"]
                $0.minimumLevel = .warning
            } == [4])
    }

    @Test(arguments: [("7", 7...7), ("3-9", 3...9), ("3...9", 3...9)] as [(String, ClosedRange<Int>)])
    func readsRounds(text: String, rounds: ClosedRange<Int>) {
        #expect(EventFilter.rounds(parsing: text) == rounds)
    }

    @Test(arguments: ["", "-", "x", "9-3", "-3", "1-2-3", "3-", "٣", "99999999999999999999"])
    func refusesWhatIsNoRound(text: String) { #expect(EventFilter.rounds(parsing: text) == nil) }

    @Test(arguments: [
        ("10s", "2025-11-21T04:15:00.123Z"), ("15m", "2025-11-21T04:00:10.123Z"), ("2h", "2025-11-21T02:15:10.123Z"),
        ("1.5d", "2025-11-19T16:15:10.123Z"), ("2025-11-21", "2025-11-21"), ("2025-11-21T04:15", "2025-11-21T04:15"),
        ("2025-11-21T04:15:10.1Z", "2025-11-21T04:15:10.1"),
    ]) func readsTimes(text: String, since: String) {
        #expect(EventFilter.since(parsing: text, now: moment()) == since)
    }

    @Test(arguments: [
        "", "m", "-5m", "infs", "nanm", "5w", "yesterday", "2025-11-21T", "04:15", "2025-11-21T04:15+01:00",
    ])
    func refusesWhatIsNoTime(text: String) { #expect(EventFilter.since(parsing: text, now: moment()) == nil) }

    @Test func followingFilters() throws {
        let folder = LogFolder()
        let writer = try EventWriter(directory: folder.logs, name: "w")
        var filter = EventFilter()
        filter.rounds = 2...2
        let file = try EventFile(state: folder.state, filter: filter)
        for _ in 0..<2 {
            for round in 1...3 { writer.write(LogEvent("round.opened", ["round": .int(round)])) }
            let entries = file.poll()
            #expect(entries.count == 1)
            guard case .event(let logged)? = entries.first else { return #expect(Bool(false)) }
            #expect(logged.event["round"] == .int(2))
        }
    }
}
