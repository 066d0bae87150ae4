import Federation
import Foundation
import Testing

@testable import Monitor

/// The live region on a terminal in memory: what stands on the screen after each event.
@Suite struct LiveRegionTests {
    private struct Screen {
        var renderer: HumanRenderer
        var terminal: FakeTerminal

        init(columns: Int = 100, rows: Int = 24, colours: Bool = false) {
            renderer = HumanRenderer(
                style: HumanRenderer.Style(isLive: true, hasColours: colours, columns: columns, rows: rows))
            terminal = FakeTerminal(columns: columns, rows: rows)
        }

        mutating func take(_ event: LogEvent, _ seconds: Double) {
            terminal.write(renderer.render(event, at: moment(seconds)))
        }

        mutating func redraw(_ seconds: Double, _ bars: [LiveBar]? = nil) {
            if let bars { renderer.take(bars) }
            terminal.write(renderer.redraw(at: moment(seconds)))
        }
    }

    private static let started = LogEvent(
        "run.started",
        [
            "run": .string("r1"), "plan": .string("demo"), "stages": .strings(["train", "prune"]), "workers": .int(3),
            "roundsPlanned": .int(8), "roundsCompleted": .int(2),
        ])
    private static let opened = LogEvent(
        "round.opened",
        [
            "round": .int(2), "stage": .int(1), "kind": .string("prune"), "task": .string("score"), "workers": .int(3),
            "quorum": .int(2), "deadlineSeconds": .double(60),
        ])
    private static func accepted(_ worker: String) -> LogEvent {
        LogEvent("contribution.accepted", ["round": .int(2), "worker": .string(worker)])
    }
    private static func closed(_ round: Int) -> LogEvent {
        LogEvent("round.closed", ["round": .int(round), "task": .string("score"), "contributions": .int(3)])
    }
    private static let first = "04:15:10 ▶ run r1 · plan demo · stages train, prune · 3 workers"

    /// A stage that makes its file again has more rounds than the plan.
    @Test func aRoundBeyondThePlanHasNoPlaceInIt() {
        var screen = Screen()
        screen.take(Self.started, 0)
        var beyond = Self.opened
        for index in beyond.fields.indices where beyond.fields[index].key == "round" {
            beyond.fields[index].value = .int(8)
        }
        screen.take(beyond, 0)
        #expect(screen.terminal.text.last == "[░░░░░░░░░░░░] 0/3 · round 8 score · quorum 2 · 0 s of 60 s")
        screen.take(Self.closed(8), 1)
        #expect(screen.terminal.text.contains("[████████████] 9 of 9 rounds · stage 2/2 prune"))
    }

    @Test func barsOfRunRoundAndTasksStandBelowTheLines() {
        var screen = Screen()
        screen.take(Self.started, 0)
        #expect(screen.terminal.text == [Self.first, "[███░░░░░░░░░] 2 of 8 rounds"])
        screen.take(Self.opened, 0)
        let run = "[███░░░░░░░░░] 2 of 8 rounds · stage 2/2 prune"
        let round = "round 2 (3 of 8) score · quorum 2"
        #expect(screen.terminal.text == [Self.first, run, "[░░░░░░░░░░░░] 0/3 · \(round) · 0 s of 60 s"])
        screen.take(Self.accepted("a"), 2)
        screen.redraw(
            3,
            [
                LiveBar(label: "b", task: RunStatus.TaskProgress(doing: "working", fraction: 0.5)),
                LiveBar(
                    label: "c",
                    task: RunStatus.TaskProgress(doing: "uploading", fraction: 0.25, bytes: 3000, ofBytes: 12_000)),
            ])
        let tasks = ["[██████░░░░░░] b · working 50 %", "[███░░░░░░░░░] c · uploading 3.00 KB of 12.0 KB"]
        let open = "[████░░░░░░░░] 1/3 · \(round) · 3 s of 60 s"
        #expect(screen.terminal.text == [Self.first, run, open] + tasks)
        // A line scrolls by above; nothing of the region stays behind.
        screen.take(LogEvent("worker.joined", ["worker": .string("d")]), 4)
        let joined = "04:15:14 + d joined"
        let later = "[████░░░░░░░░] 1/3 · \(round) · 4 s of 60 s"
        #expect(screen.terminal.text == [Self.first, joined, run, later] + tasks)
        screen.redraw(5, [])
        screen.take(Self.closed(2), 6)
        let closed = "04:15:16   round 2 (3 of 8) score · 3 contributions"
        #expect(screen.terminal.text.prefix(3) == [Self.first, joined, closed])
        #expect(screen.terminal.text.dropFirst(3).first == "[████░░░░░░░░] 3 of 8 rounds · stage 2/2 prune")
        #expect(screen.terminal.text.dropFirst(4).allSatisfy { $0.isEmpty })
        #expect(screen.terminal.faults == 0)
    }

    @Test func theRegionEndsWithTheRun() {
        var screen = Screen()
        screen.take(Self.started, 0)
        screen.take(Self.opened, 1)
        screen.redraw(1, [LiveBar(label: "b", fraction: 0, detail: "working")])
        screen.take(LogEvent("run.failed", level: .error, ["reason": .string("disk full")]), 2)
        #expect(screen.terminal.text.filter { !$0.isEmpty } == [Self.first, "04:15:12 ✗ run failed: disk full"])
        screen.redraw(3)
        screen.terminal.write(screen.renderer.finish())
        #expect(screen.terminal.text.filter { !$0.isEmpty }.count == 2)
    }

    @Test func aWaitShowsWhoIsMissingAndSinceWhen() {
        var screen = Screen(columns: 140)
        screen.take(Self.opened, 0)
        screen.take(
            LogEvent(
                "round.waiting",
                [
                    "round": .int(2), "contributions": .int(1), "workers": .int(3), "ageSeconds": .double(12),
                    "missing": .strings(["b", "c"]), "missingSeconds": .numbers([2, nil]),
                ]), 12)
        #expect(
            screen.terminal.text == [
                "[████░░░░░░░░] 1/3 · round 2 score · quorum 2 · waiting for b (heard 2.00 s ago), "
                    + "c (not heard of yet) · 12 s of 60 s"
            ])
    }

    /// Five are missing, one of them contributes: three are named.
    @Test func ofManyMissingWorkersThreeAreNamed() {
        var screen = Screen(columns: 180)
        screen.take(Self.opened, 0)
        let names = ["a", "b", "c", "d", "e"]
        screen.take(
            LogEvent(
                "round.waiting",
                [
                    "contributions": .int(0), "missing": .strings(names),
                    "missingSeconds": .numbers(names.map { _ in 1 }),
                ]), 1)
        screen.take(Self.accepted("b"), 1)
        #expect(
            screen.terminal.text.last?.contains(
                "waiting for a (heard 1.00 s ago), c (heard 1.00 s ago), d (heard 1.00 s ago) and 1 more · 1 s") == true
        )
        screen.take(LogEvent("round.waiting", ["contributions": .int(3), "missing": .strings([])]), 2)
        #expect(screen.terminal.text.last?.contains("waiting for") == false)
    }

    @Test func theCoordinatorsOwnWorkIsShown() {
        var screen = Screen()
        screen.take(Self.started, 0)
        screen.take(
            LogEvent("run.waiting", ["reason": .string("the coordinator computes"), "ageSeconds": .double(10)]), 1)
        #expect(screen.terminal.text.last == "[███░░░░░░░░░] 2 of 8 rounds · the coordinator computes")
    }

    /// The region of a thousand workers stays within half of the screen, and no line wraps, whatever names are.
    @Test func theRegionFitsTheTerminal() {
        var screen = Screen(columns: 40, rows: 12, colours: true)
        screen.take(Self.started, 0)
        screen.take(Self.opened, 0)
        let task = RunStatus.TaskProgress(doing: "working", fraction: .nan)
        for second in 1...5 {
            screen.redraw(Double(second), (0..<1000).map { LiveBar(label: "工人-\($0)\u{1B}[2J", task: task) })
        }
        let region = screen.terminal.text.filter { $0.hasPrefix("[") || $0.hasPrefix("and ") }
        #expect(region.count == 6)
        #expect(region.last == "and 997 more")
        #expect(screen.terminal.text.allSatisfy { terminalWidth($0) <= 39 || $0.hasPrefix("04:15") })
        #expect(screen.terminal.faults == 0)
    }

    @Test func withoutATerminalThereIsNoRegion() {
        var renderer = HumanRenderer(style: HumanRenderer.Style(isLive: false, hasColours: false))
        renderer.take([LiveBar(label: "b", fraction: 1, detail: "x")])
        let text = renderer.render(Self.started, at: moment()) + renderer.render(Self.opened, at: moment())
        #expect(text == Self.first + "\n")
        #expect(renderer.redraw(at: moment(1)) == "")
    }

    /// A pseudo-terminal of the kernel's: size, bars and erasing by the console itself.
    @Test func aConsoleDrawsOnARealTerminal() async throws {
        var (master, slave): (Int32, Int32) = (-1, -1)
        var size = winsize(ws_row: 10, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0)
        try #require(openpty(&master, &slave, nil, nil, &size) == 0)
        defer { close(master) }
        let console = ConsoleChoice.choose(
            json: false, isTerminal: true, descriptor: slave, environment: ["NO_COLOR": "1"])
        console.take(Self.started)
        console.take(Self.opened)
        console.follow { [LiveBar(label: "b", fraction: 0.5, detail: "working 50 %")] }
        var terminal = FakeTerminal(columns: 100, rows: 10)
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        try #require(fcntl(master, F_SETFL, O_NONBLOCK) == 0)
        // The console redraws each second.
        while !terminal.text.contains("[██████░░░░░░] b · working 50 %") {
            bytes += Self.read(master, &buffer)
            // The kernel turns each newline into a carriage return and a newline.
            terminal = FakeTerminal(columns: 100, rows: 10)
            terminal.write(String(decoding: bytes, as: UTF8.self))
            try await Task.sleep(for: .milliseconds(20))
        }
        console.close()
        close(slave)
        // The kernel brings bytes over when it likes; after the last of them it says that nobody is there.
        while true {
            let more = Self.read(master, &buffer)
            if more.isEmpty, errno != EAGAIN { break }
            bytes += more
        }
        terminal = FakeTerminal(columns: 100, rows: 10)
        terminal.write(String(decoding: bytes, as: UTF8.self))
        #expect(terminal.text.allSatisfy { $0.isEmpty || $0.contains("run r1") })
        #expect(terminal.faults == 0)
    }

    /// What has come so far; a cut character is completed by the next read, so all bytes are decoded together.
    private static func read(_ descriptor: Int32, _ buffer: inout [UInt8]) -> ArraySlice<UInt8> {
        let count = Foundation.read(descriptor, &buffer, buffer.count)
        return buffer[..<max(0, count)]
    }
}
