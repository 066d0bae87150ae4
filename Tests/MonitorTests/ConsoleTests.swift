import Federation
import Foundation
import Synchronization
import Testing

@testable import Monitor

/// Where a command's events go: the journal, levels, and a disk that takes nothing.
@Suite struct ConsoleTests {
    private static let failed = LogEvent("run.failed", level: .error, ["reason": .string("r")])
    private static let assigned = LogEvent(
        "task.assigned", level: .debug, ["round": .int(1), "worker": .string("a"), "task": .string("train")])

    /// What a console writes to a file that the environment calls the journal, or not.
    private func written(
        json: Bool = false, asJournal: Bool = false, minimumLevel: LogLevel = .debug, _ events: [LogEvent]
    ) throws -> String {
        let folder = LogFolder()
        let path = folder.logs + "/stream"
        let descriptor = open(path, O_RDWR | O_CREAT, 0o600)
        defer { close(descriptor) }
        var facts = stat()
        try #require(fstat(descriptor, &facts) == 0)
        let stream = asJournal ? "\(facts.st_dev):\(facts.st_ino)" : "\(facts.st_dev):\(facts.st_ino + 1)"
        let console = ConsoleChoice.choose(
            json: json, isTerminal: false, descriptor: descriptor, minimumLevel: minimumLevel,
            environment: ["JOURNAL_STREAM": stream])
        for event in events { console.take(event) }
        console.close()
        return try String(contentsOfFile: path, encoding: .utf8)
    }

    @Test func theJournalGetsPrioritiesAndNoTimes() throws {
        let lost = LogEvent("worker.lost", level: .warning, ["worker": .string("a"), "reason": .string("silent")])
        let joined = LogEvent("worker.joined", ["worker": .string("a")])
        #expect(
            try written(asJournal: true, [joined, lost, Self.failed])
                == "<6>+ a joined\n<4>- a is lost: silent\n<3>✗ run failed: r\n")
    }

    /// The line itself stays whole: the journal takes the priority off.
    @Test func linesOfJSONKeepTheirTimeInTheJournal() throws {
        let line = try written(json: true, asJournal: true, [Self.assigned])
        #expect(line.hasPrefix("<7>{\"time\":\""))
        #expect(line.hasSuffix("\"task\":\"train\"}\n"))
    }

    /// The variable is inherited by whatever a service starts and redirects.
    @Test func aFileThatIsNotTheJournalsGetsPlainLines() throws {
        let text = try written([Self.failed])
        #expect(text.wholeMatch(of: /\d\d:\d\d:\d\d ✗ run failed: r\n/) != nil)
    }

    @Test(arguments: [true, false]) func eventsBelowTheLevelAreNotShown(json: Bool) throws {
        let info = LogEvent("worker.joined", ["worker": .string("a")])
        let text = try written(json: json, minimumLevel: .warning, [Self.assigned, info, Self.failed])
        #expect(text.split(separator: "\n").count == 1)
        #expect(text.contains("failed"))
    }

    /// They move the live region all the same.
    @Test func theRegionFollowsEventsBelowTheLevel() {
        var renderer = HumanRenderer(
            style: HumanRenderer.Style(isLive: true, hasColours: false, columns: 100, minimumLevel: .error))
        let opened = LogEvent("round.opened", ["round": .int(1), "workers": .int(2), "task": .string("train")])
        #expect(renderer.render(opened, at: moment()) == "[░░░░░░░░░░░░] 0/2 · round 1 train · 0 s")
        #expect(renderer.render(Self.assigned, at: moment()).hasSuffix("waiting for a · 0 s"))
    }

    @Test func prioritiesAreThoseOfSyslog() {
        #expect(LogLevel.allCases.map(JournalStream.prefix) == ["<7>", "<6>", "<4>", "<3>"])
        #expect(!JournalStream.isBehind(STDOUT_FILENO, environment: [:]))
        #expect(!JournalStream.isBehind(-1, environment: ["JOURNAL_STREAM": "0:0"]))
    }
}
