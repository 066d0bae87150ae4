import Federation
import Foundation
import Testing

@testable import Monitor

@Suite struct LogSummaryTests {
    private static func entry(_ event: LogEvent, _ seconds: Double) -> LogEntry {
        .event(LoggedEvent(time: EventTime.text(moment(seconds)), event: event, log: "coordinator", line: ""))
    }
    private static func closed(_ round: Int, _ task: String, _ seconds: Double) -> LogEvent {
        LogEvent(
            "round.closed",
            [
                "round": .int(round), "task": .string(task), "wireBytesUp": .int(1000), "wireBytesDown": .int(500),
                "rawBytesUp": .int(30_000), "rawBytesDown": .int(30_000), "seconds": .double(seconds),
                "loss": .double(0.5),
            ])
    }
    private static func accepted(_ worker: String) -> LogEvent {
        LogEvent(
            "contribution.accepted",
            [
                "round": .int(0), "worker": .string(worker), "bytes": .int(900), "seconds": .double(2),
                "fetchSeconds": .double(0.5), "uploadSeconds": .double(0.25),
            ])
    }
    private static func refused(_ worker: String, _ reason: String) -> LogEvent {
        LogEvent(
            "contribution.refused", level: .warning,
            ["round": .int(0), "worker": .string(worker), "reason": .string(reason)])
    }
    private static let digest = String(repeating: "ab12", count: 16)

    private static var summary: LogSummary {
        var summary = LogSummary()
        let events = [
            LogEvent("run.started"), LogEvent("worker.joined", ["worker": .string("b")]), accepted("b"),
            refused("a\u{1B}", "norm 17.5 exceeds 3"), refused("a\u{1B}", "norm 9 exceeds 3"),
            refused("b", "digest \(digest) is wrong"),
            LogEvent(
                "round.waiting", ["round": .int(0), "missing": .strings(["b"]), "missingSeconds": .numbers([1])]),
            LogEvent("round.waiting", ["round": .int(0), "missing": .strings(["b"])]),
            closed(0, "train", 4), closed(1, "train", 6), closed(2, "evaluate", 1), LogEvent("run.resumed"),
            LogEvent("worker.lost", level: .warning, ["worker": .string("b")]), accepted("b"),
            LogEvent("diagnostic", level: .warning, ["message": .string("m"), "dropped": .int(7)]),
            LogEvent("contribution.refused", level: .warning, ["round": .int(0), "reason": .string("own log")]),
            LogEvent("run.finished"),
        ]
        for (index, event) in events.enumerated() { summary.add(entry(event, Double(index))) }
        summary.add(.malformed(log: "coordinator", reason: "x"))
        return summary
    }

    @Test func itTellsRoundsBytesTimesAndRefusals() {
        let lines = Self.summary.text().split(separator: "\n").prefix(10)
        #expect(
            lines.joined(separator: "\n") == """
                17 events, 2025-11-21T04:15:10.123Z to 2025-11-21T04:15:26.123Z
                6 warnings, 0 errors, 1 unreadable lines, 7 events were not written (full disk)
                the coordinator was started 2 times
                rounds: 3 in 11.0 s (each 1.00 s to 6.00 s) · loss 0.5 · the run finished
                  evaluate: 1 in 1.00 s
                  train: 2 in 10.0 s (each 4.00 s to 6.00 s)
                wire: 3.00 KB up, 1.50 KB down (40.0x fewer than float32 averaging)
                contributions: 2 accepted, 3 refused
                  2 x norm N exceeds N
                  1 x digest … is wrong
                """)
    }

    @Test func itTellsEachWorkersPart() throws {
        let rows = Self.summary.text().split(separator: "\n").suffix(3).dropLast()
        #expect(
            rows.map { $0.split(separator: " ", omittingEmptySubsequences: true).joined(separator: " ") } == [
                #"a\u{1B} 0 2 0 0 B 0.00 s 0.00 s 0.00 s 0 rounds"#, "b 2 1 1 1.80 KB 4.00 s 1.00 s 0.50 s 1 rounds",
            ])
    }

    @Test func itsJSONHasTheSameFigures() throws {
        let object = try #require(
            try JSONSerialization.jsonObject(with: Data(Self.summary.json())) as? [String: Any])
        #expect(object["accepted"] as? Int == 2)
        #expect(object["wireBytesUp"] as? Int == 3000)
        #expect((object["rounds"] as? [String: Any])?["count"] as? Int == 3)
        #expect(object["refusalsByReason"] as? [String: Int] == ["norm N exceeds N": 2, "digest … is wrong": 1])
        let workers = try #require(object["workers"] as? [[String: Any]])
        #expect(workers.map { $0["name"] as? String } == ["a\u{1B}", "b"])
        #expect(workers.last?["waits"] as? Int == 1)
    }

    @Test func hostileFiguresAndReasonsAreBounded() throws {
        var summary = LogSummary()
        for n in 0..<200 {
            // A letter of its own for each, so that no two reasons are alike.
            let reason = String(UnicodeScalar(0x4E00 + UInt32(n)).map(Character.init) ?? "x")
            summary.add(Self.entry(Self.refused("w", reason), 0))
        }
        for _ in 0..<2 {
            summary.add(
                Self.entry(
                    LogEvent(
                        "round.closed",
                        ["round": .int(.max), "wireBytesUp": .int(.max), "seconds": .double(.greatestFiniteMagnitude)]),
                    0))
        }
        #expect(summary.refusalsByReason.count == 51)
        #expect(summary.refusalsByReason["other reasons"] == 150)
        #expect(summary.wireBytesUp == .max)
        #expect(!summary.json().isEmpty && !summary.text().isEmpty)
    }

    @Test func nothingIsSaidToBeNothing() { #expect(LogSummary().text() == "no event fits") }
}
