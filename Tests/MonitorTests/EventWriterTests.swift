import Federation
import Foundation
import Logging
import Synchronization
import Testing

@testable import Monitor

private typealias Event = Federation.LogEvent

@Suite struct EventWriterTests {
    private func number(_ number: Int) -> Event { Event("diagnostic", ["n": .int(number)]) }

    @Test func appendsAcrossRestarts() throws {
        let folder = LogFolder()
        for n in 1...2 {
            let writer = try EventWriter(directory: folder.logs, name: "coordinator")
            writer.write(number(n), at: moment())
        }
        #expect(
            folder.text("coordinator.jsonl")
                == #"{"time":"2025-11-21T04:15:10.123Z","level":"info","event":"diagnostic","n":1}"# + "\n"
                + #"{"time":"2025-11-21T04:15:10.123Z","level":"info","event":"diagnostic","n":2}"# + "\n")
    }

    @Test func endsALineThatACrashCut() throws {
        let folder = LogFolder()
        try folder.append(#"{"time":"20"#, to: "w.jsonl")
        try EventWriter(directory: folder.logs, name: "w").write(number(1), at: moment())
        let lines = try #require(folder.text("w.jsonl")).split(separator: "\n")
        #expect(lines.count == 2)
        #expect(lines.first == #"{"time":"20"#)
        #expect(lines.last?.hasSuffix(#""n":1}"#) == true)
    }

    @Test func keepsOnlyTheNewestFiles() throws {
        let folder = LogFolder()
        // Each line has 80 bytes, so a file of 200 holds two.
        let writer = try EventWriter(directory: folder.logs, name: "w", maximumBytes: 200, files: 3)
        for n in 1...9 { writer.write(number(n), at: moment()) }
        func numbers(_ name: String) -> [String] {
            (folder.text(name) ?? "").split(separator: "\n").map { String($0.suffix(2).prefix(1)) }
        }
        #expect(numbers("w.jsonl") == ["9"])
        #expect(numbers("w.jsonl.1") == ["7", "8"])
        #expect(numbers("w.jsonl.2") == ["5", "6"])
        #expect(folder.text("w.jsonl.3") == nil)
        #expect(writer.droppedLines == 0)
    }

    @Test func oneFileOnlyStartsOver() throws {
        let folder = LogFolder()
        let writer = try EventWriter(directory: folder.logs, name: "w", maximumBytes: 200, files: 1)
        for n in 1...3 { writer.write(number(n), at: moment()) }
        #expect(folder.text("w.jsonl")?.hasSuffix(#""n":3}"# + "\n") == true)
        #expect(folder.text("w.jsonl")?.split(separator: "\n").count == 1)
    }

    @Test(arguments: [
        ("../../etc/x", "%2E./../etc/x", "%2E.%2F..%2Fetc%2Fx.jsonl"), ("a b", "a_b", "a%20b.jsonl"),
        ("site-a.example_1", "", "site-a.example_1.jsonl"), ("é", "", "%C3%A9.jsonl"),
    ]) func namesCannotLeaveTheFolder(name: String, other: String, file: String) throws {
        let folder = LogFolder()
        try EventWriter(directory: folder.logs, name: name).write(number(1))
        #expect(folder.text(file) != nil)
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.logs) == [file])
        #expect(LogFileName.encoded(other) != LogFileName.encoded(name))
    }

    @Test func refusesNamesThatFitNoFile() {
        for name in ["", String(repeating: "é", count: 60)] {
            #expect(throws: MonitorError.logName(name)) { try EventWriter(directory: LogFolder().logs, name: name) }
        }
    }

    @Test func namesTheFolderThatCannotBeMade() throws {
        let folder = LogFolder()
        try folder.append("", to: "file")
        #expect {
            try EventWriter(directory: folder.logs + "/file/logs", name: "w")
        } throws: { error in
            "\(error)".contains("\(folder.logs)/file/logs")
        }
    }

    /// /dev/full takes no byte, as a full disk.
    @Test func aFullDiskIsCountedAndToldOnce() throws {
        let folder = LogFolder()
        let warnings = Mutex<[String]>([])
        let path = folder.logs + "/w.jsonl"
        try FileManager.default.createSymbolicLink(atPath: path, withDestinationPath: "/dev/full")
        let writer = try EventWriter(directory: folder.logs, name: "w") { text in warnings.withLock { $0.append(text) }
        }
        for n in 1...3 { writer.write(number(n)) }
        #expect(writer.droppedLines == 3)
        #expect(warnings.withLock { $0.count } == 1)
        #expect(warnings.withLock { $0.first?.contains("No space left on device; the run goes on") } == true)
    }

    @Test func leavesOutWhatIsBelowTheLevel() throws {
        let folder = LogFolder()
        let writer = try EventWriter(directory: folder.logs, name: "w", minimumLevel: .warning)
        writer.write(number(1))
        #expect(folder.text("w.jsonl") == "")
        writer.write(Event("run.failed", level: .error))
        #expect(folder.text("w.jsonl")?.contains("run.failed") == true)
    }

    @Test func linesFromManyThreadsStayWhole() async throws {
        let folder = LogFolder()
        let writer = try EventWriter(directory: folder.logs, name: "w", maximumBytes: 4000, files: 40)
        await withTaskGroup(of: Void.self) { group in
            for n in 0..<8 {
                group.addTask { for k in 0..<50 { writer.write(Event("diagnostic", ["n": .int(n * 50 + k)])) } }
            }
        }
        let events = try EventFile(state: folder.state).poll().compactMap { entry in
            if case .event(let logged) = entry, case .int(let n)? = logged.event["n"] { n } else { nil }
        }
        #expect(events.sorted() == Array(0..<400))
    }

    @Test func takesWhatLibrariesLog() throws {
        let folder = LogFolder()
        let writer = try EventWriter(directory: folder.logs, name: "w")
        var logger = Logger(label: "wire") { DiagnosticLogHandler(label: $0, writer: writer) }
        logger[metadataKey: "peer"] = "b\u{1B}"
        logger.debug("below the level")
        logger.error("lost", metadata: ["at": "3"], source: "Transport")
        let line = try #require(folder.text("w.jsonl"))
        #expect(
            line.hasSuffix(
                #""level":"error","event":"diagnostic","label":"wire","message":"lost","source":"Transport","#
                    + #""metadata":["at=3","peer=b\u001b"]}"# + "\n"))
        #expect(line.split(separator: "\n").count == 1)
    }
}
