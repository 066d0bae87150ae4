import Federation
import Foundation
import Testing

@testable import Monitor

/// Logs that another program wrote, and disks that take nothing.
@Suite struct HostileLogTests {
    private static let good =
        #"{"time":"2025-11-21T04:15:10.123Z","level":"info","event":"worker.joined","worker":"a"}"#

    private static func entries(_ folder: LogFolder) throws -> (events: [LoggedEvent], reasons: [String]) {
        var found: (events: [LoggedEvent], reasons: [String]) = ([], [])
        for entry in try EventFile(state: folder.state).poll() {
            switch entry {
            case .event(let logged): found.events.append(logged)
            case .malformed(_, let reason): found.reasons.append(reason)
            }
        }
        return found
    }

    /// A hole of zeros, as long as the brief asks for: told in one line, and what follows is read.
    @Test func aLineOfAHundredMegabytesIsOneComplaint() throws {
        let folder = LogFolder()
        try folder.append(Self.good + "\n", to: "w.jsonl")
        let path = folder.logs + "/w.jsonl"
        try #require(truncate(path, 100 << 20) == 0)
        try folder.append("\n" + Self.good + "\n", to: "w.jsonl")
        let before = ProcessMemory.residentBytes
        let found = try Self.entries(folder)
        #expect(found.events.count == 2)
        #expect(found.reasons == ["a line is longer than 1048576 bytes"])
        #expect(ProcessMemory.residentBytes - before < 64 << 20, "the line is not kept")
    }

    @Test(
        arguments: [
            [0x00], [0x1B, 0x5B, 0x32, 0x4A], [0xFF, 0xFE], [0xC0, 0x80], [0xED, 0xA0, 0x80], [0xF4, 0x90, 0x80, 0x80],
            [0x0D],
            [0x80], [0xC3],
        ] as [[UInt8]]) func bytesThatAreNoTextAreRefused(bytes: [UInt8]) throws
    {
        let folder = LogFolder()
        let hostile = Array(Self.good.utf8.dropLast(2)) + bytes + Array("\"}\n".utf8)
        try Data(hostile + Array((Self.good + "\n").utf8)).write(to: URL(fileURLWithPath: folder.logs + "/w.jsonl"))
        let found = try Self.entries(folder)
        #expect(found.events.count == 1)
        #expect(found.reasons.count == 1)
        #expect(found.reasons.allSatisfy { !$0.unicodeScalars.contains(where: isUnsafeOnTerminal) })
    }

    /// Pipes and devices never end: a folder from elsewhere may hold them under a log's name.
    @Test(.timeLimit(.minutes(5))) func whatIsNoFileIsNotReadFrom() throws {
        let folder = LogFolder()
        try #require(mkfifo(folder.logs + "/pipe.jsonl", 0o600) == 0)
        try FileManager.default.createSymbolicLink(
            atPath: folder.logs + "/zero.jsonl", withDestinationPath: "/dev/zero")
        try FileManager.default.createDirectory(
            atPath: folder.logs + "/folder.jsonl", withIntermediateDirectories: false)
        try FileManager.default.createSymbolicLink(
            atPath: folder.logs + "/loop.jsonl", withDestinationPath: "loop.jsonl")
        try folder.append(Self.good + "\n", to: "w.jsonl")
        let file = try EventFile(state: folder.state)
        let first = file.poll()
        #expect(first.count == 4, "\(first)")
        #expect(first.count { $0 == .malformed(log: "zero", reason: "this is no regular file") } == 1)
        #expect(first.count { $0 == .malformed(log: "pipe", reason: "this is no regular file") } == 1)
        #expect(first.count { $0 == .malformed(log: "folder", reason: "this is no regular file") } == 1)
        // It is said once, and a log that takes the place is read.
        #expect(file.poll() == [])
        unlink(folder.logs + "/pipe.jsonl")
        try folder.append(Self.good + "\n", to: "pipe.jsonl")
        #expect(file.poll().count == 1)
    }

    /// What the parser takes may still hold characters that a terminal acts on; they are the same text, escaped.
    @Test(arguments: [
        "\u{7F}", "\u{9B}31m", "\u{202E}gnp.exe", "\u{200B}", "\u{061C}", "\u{2028}", "\u{FEFF}", "\u{E0041}",
        "\u{E000}",
        "\u{10FFFF}", "plain \u{E9}\u{1F600}",
    ]) func aLineIsShownHarmless(text: String) throws {
        let line = " \t" + Self.good.replacing("\"a\"", with: "\"a\(text)\",\"k\(text)\":\t\"v\"") + " \r"
        let shown = escapedJSON(line)
        #expect(!shown.unicodeScalars.contains(where: isUnsafeOnTerminal))
        let (read, again) = try (EventLineParser.parse(Array(line.utf8)), EventLineParser.parse(Array(shown.utf8)))
        #expect(read.event == again.event)
        #expect(again.event["worker"] == .string("a" + text))
        let own = String(decoding: EventLine.encode(again.event, at: moment()).dropLast(), as: UTF8.self)
        #expect(escapedJSON(own) == own, "lines of our own are as they are")
        #expect(!own.unicodeScalars.contains(where: isUnsafeOnTerminal))
    }

    private static let keys = [
        "round", "stage", "stages", "workers", "quorum", "ageSeconds", "deadlineSeconds", "contributions", "seconds",
        "loss", "accuracy", "accuracyAfter", "bytes", "bytesAfter", "wireBytesUp", "wireBytesDown", "rawBytesUp",
        "rawBytesDown", "ratio", "sparsity", "rounds", "samples", "classes", "threads", "epoch", "removed", "units",
        "parameters", "layers", "averageBits", "missing", "missingSeconds", "roundsCompleted", "roundsPlanned",
        "givenUp",
        "remarks", "dropped", "worker", "reason", "message", "path", "task", "kind", "error", "run", "plan",
    ]

    private static let values: [LogValue] = [
        .int(.max), .int(.min), .int(0), .double(.greatestFiniteMagnitude), .double(-1e300), .double(5e-324),
        .bool(true),
        .string("\u{1B}[2J\u{202E}\n"), .strings(["\u{9B}", "b"]), .strings([]), .numbers([nil, 1e308, -1]),
        .string(String(repeating: "x", count: 100_000)),
    ]

    /// Whatever stands in a log, it is drawn on one line, summed up, and traps nobody.
    @Test(arguments: EventName.all + ["unheard.of"]) func extremesAreDrawnAndSummedUp(name: String) {
        var summary = LogSummary()
        for isLive in [false, true] {
            var renderer = HumanRenderer(
                style: HumanRenderer.Style(isLive: isLive, hasColours: false, columns: 100, showsEverything: !isLive))
            for value in Self.values {
                var event = LogEvent(name)
                event.fields = Self.keys.map { ($0, value) }
                summary.add(.event(LoggedEvent(time: "\u{1B}[31m" + "9", event: event, log: "w", line: "")))
                let text = renderer.render(event, at: moment())
                let rest = text.replacing("\r\u{1B}[2K", with: "").replacing("\u{1B}[1A\u{1B}[2K", with: "")
                #expect(!rest.unicodeScalars.contains { $0 != "\n" && isUnsafeOnTerminal($0) }, "\(name) \(value)")
                let read = renderer.render(LoggedEvent(time: "\u{1B}[31m\n\n\n\n", event: event, log: "w", line: ""))
                #expect(read.unicodeScalars.count { $0 == "\n" } <= 1, "\(name)")
                #expect(!read.unicodeScalars.contains { $0 != "\n" && isUnsafeOnTerminal($0) }, "\(name)")
            }
        }
        #expect(!summary.json().isEmpty)
        #expect(!summary.text().unicodeScalars.contains { $0 != "\n" && isUnsafeOnTerminal($0) })
    }

    /// Half a million brackets are refused without a stack for them.
    @Test(arguments: ["[", "{\"a\":", "[[", "[null,"]) func nestingIsRefused(piece: String) throws {
        let folder = LogFolder()
        let line = #"{"time":"t","level":"info","event":"x","a":"# + String(repeating: piece, count: 100_000)
        try folder.append(line + "\n" + Self.good + "\n", to: "w.jsonl")
        let found = try Self.entries(folder)
        #expect(found.events.count == 1)
        #expect(found.reasons.count == 1)
    }

    /// A reader that is gone, or a disk that is full behind a terminal's place: the words are lost, nothing else.
    @Test func outputThatTakesNothingEndsNothing() {
        let full = open("/dev/full", O_WRONLY)
        writeText("lost", to: full)
        writeText("lost", to: -1)
        for json in [true, false] {
            let console = ConsoleChoice.choose(json: json, isTerminal: false, descriptor: full)
            console.take(LogEvent("run.failed", level: .error, ["reason": .string("r")]))
            console.close()
        }
        #expect(close(full) == 0)
    }
}
