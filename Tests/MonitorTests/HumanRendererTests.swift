import Federation
import Foundation
import Testing

@testable import Monitor

@Suite struct HumanRendererTests {
    private static let plain = HumanRenderer.Style(isLive: false, hasColours: false)
    private static let live = HumanRenderer.Style(isLive: true, hasColours: false, columns: 120)

    private static let started = LogEvent(
        "run.started",
        [
            "run": .string("r1"), "plan": .string("demo"), "seed": .string("7"),
            "stages": .strings(["train", "prune"]),
            "workers": .int(3), "model": .string("cnn"), "parameters": .int(26_010), "roundsPlanned": .int(9),
        ])
    private static let opened = LogEvent(
        "round.opened",
        [
            "round": .int(4), "stage": .int(1), "kind": .string("prune"), "task": .string("score"), "workers": .int(3),
            "quorum": .int(2), "deadlineSeconds": .double(60),
        ])
    private static func accepted(_ worker: String) -> LogEvent {
        LogEvent("contribution.accepted", ["round": .int(4), "worker": .string(worker)])
    }
    private static func assigned(_ worker: String) -> LogEvent {
        LogEvent(
            "task.assigned", level: .debug, ["round": .int(4), "worker": .string(worker), "task": .string("score")])
    }
    private static func waiting(_ reason: String, age: Double) -> LogEvent {
        LogEvent(
            "round.waiting",
            [
                "round": .int(4), "contributions": .int(1), "workers": .int(3), "quorum": .int(2),
                "ageSeconds": .double(age), "deadlineSeconds": .double(60), "missing": .strings(["b", "c"]),
                "reason": .string(reason),
            ])
    }

    @Test func plainLinesWithoutATerminal() {
        var renderer = HumanRenderer(style: Self.plain)
        #expect(
            renderer.render(Self.started, at: moment())
                == "04:15:10 ▶ run r1 · plan demo · stages train, prune · 3 workers · cnn · 26,010 parameters\n")
        #expect(renderer.render(Self.opened, at: moment()) == "")
        #expect(renderer.render(Self.accepted("a"), at: moment()) == "")
        #expect(
            renderer.render(
                LogEvent(
                    "round.closed",
                    [
                        "round": .int(4), "stage": .int(1), "kind": .string("prune"), "task": .string("score"),
                        "contributions": .int(3), "wireBytesUp": .int(40_960), "wireBytesDown": .int(812),
                        "rawBytesUp": .int(1), "seconds": .double(1.25), "ratio": .double(28.44),
                        "loss": .double(0.3125),
                    ]), at: moment(1))
                == "04:15:11   round 4 (5 of 9) score · 3 contributions · loss 0.3125 · up 41.0 KB · down 812 B · "
                + "28.4x under float32 · 1.25 s\n")
        #expect(
            renderer.render(LogEvent("stage.finished", ["stage": .int(1), "kind": .string("prune")]), at: moment(2))
                == "04:15:12 ✓ stage 2/2 prune finished\n")
        #expect(renderer.finish() == "")
    }

    @Test func tellsAWaitOncePerReason() {
        var renderer = HumanRenderer(style: Self.plain)
        #expect(
            renderer.render(Self.waiting("2 workers are at work", age: 12), at: moment())
                == "04:15:10 … round 4 waits · 2 workers are at work · 1 of 3 · quorum 2 · missing b, c · "
                + "12.0 s of 60.0 s\n")
        #expect(renderer.render(Self.waiting("2 workers are at work", age: 13), at: moment(1)) == "")
        #expect(renderer.render(Self.waiting("no worker is connected", age: 14), at: moment(2)) != "")
    }

    @Test(arguments: [Self.plain, Self.live]) func hostileNamesMoveNothing(style: HumanRenderer.Style) {
        let name = "\u{1B}]0;x\u{7}\r\n\u{9B}2J\u{202E}\u{200B}"
        var renderer = HumanRenderer(style: style)
        var text = renderer.render(Self.opened, at: moment())
        for event in [
            "worker.joined", "worker.lost", "worker.refused", "contribution.refused", "diagnostic", "run.failed",
            "export.finished", "stage.started", "unheard.of", name,
        ] {
            text += renderer.render(
                LogEvent(
                    event, level: .warning,
                    [
                        "worker": .string(name), "reason": .string(name), "message": .string(name),
                        "path": .string(name),
                        "kind": .string(name), name: .strings([name]),
                    ]), at: moment())
        }
        text += renderer.render(Self.assigned(name), at: moment())
        text += renderer.render(LogEvent("round.waiting", ["missing": .strings([name])]), at: moment())
        #expect(text.contains(#"\u{1B}]0;x\u{7}\u{D}\u{A}\u{9B}2J\u{202E}\u{200B}"#))
        let rest = text.replacing("\r\u{1B}[2K", with: "").replacing("\u{1B}[1A\u{1B}[2K", with: "")
        #expect(!rest.unicodeScalars.contains { $0 != "\n" && $0.properties.generalCategory == .control })
        #expect(!rest.unicodeScalars.contains { $0.properties.generalCategory == .format })
    }

    @Test func coloursOnlyWhereAsked() {
        var renderer = HumanRenderer(style: HumanRenderer.Style(isLive: false, hasColours: true))
        let event = LogEvent("run.failed", level: .error, ["reason": .string("disk full")])
        #expect(
            renderer.render(event, at: moment())
                == "\u{1B}[2m04:15:10\u{1B}[0m \u{1B}[31m✗ run failed: disk full\u{1B}[0m\n")
    }

    @Test func showsEverythingWhenReadingLogs() {
        var renderer = HumanRenderer(
            style: HumanRenderer.Style(isLive: false, hasColours: false, showsEverything: true))
        let logged = LoggedEvent(
            time: "2025-11-21T04:15:10.123Z", event: Self.assigned("a"), log: "coordinator", line: "")
        #expect(renderer.render(logged) == "04:15:10   task.assigned round=4 worker=a task=score\n")
    }

    @Test func aConsoleWritesNothingAfterItsEnd() throws {
        let folder = LogFolder()
        for json in [true, false] {
            let path = folder.logs + "/console-\(json)"
            let descriptor = open(path, O_RDWR | O_CREAT, 0o600)
            let console = ConsoleChoice.choose(json: json, isTerminal: false, descriptor: descriptor)
            console.take(LogEvent("run.failed", level: .error, ["reason": .string("r")]))
            console.close()
            console.take(Self.started)
            close(descriptor)
            let text = try String(contentsOfFile: path, encoding: .utf8)
            #expect(text.hasSuffix(json ? #""event":"run.failed","reason":"r"}"# + "\n" : " ✗ run failed: r\n"))
            #expect(text.split(separator: "\n").count == 1)
        }
    }
}
