import Federation
import Foundation
import Testing

@testable import Monitor

@Suite struct EventFileTests {
    private func numbers(_ entries: [LogEntry]) -> [Int] {
        entries.compactMap { entry in
            if case .event(let logged) = entry, case .int(let n)? = logged.event["n"] { n } else { nil }
        }
    }

    private func malformed(_ entries: [LogEntry]) -> [LogEntry] {
        entries.filter { if case .malformed = $0 { true } else { false } }
    }

    private func write(_ numbers: ClosedRange<Int>, with writer: EventWriter) {
        for n in numbers { writer.write(LogEvent("diagnostic", ["n": .int(n)]), at: moment(Double(n))) }
    }

    @Test func readsEachLineOnceAcrossRotations() throws {
        let folder = LogFolder()
        // Two lines a file.
        let writer = try EventWriter(directory: folder.logs, name: "w", maximumBytes: 200, files: 10)
        write(1...3, with: writer)
        let file = try EventFile(state: folder.state)
        #expect(numbers(file.poll()) == [1, 2, 3])
        #expect(file.poll() == [])
        write(4...4, with: writer)
        #expect(numbers(file.poll()) == [4])
        // Three rotations between two looks.
        write(5...11, with: writer)
        let entries = file.poll()
        #expect(numbers(entries) == Array(5...11))
        #expect(malformed(entries) == [])
        #expect(file.poll() == [])
    }

    @Test func waitsForTheEndOfALine() throws {
        let folder = LogFolder()
        try folder.append(#"{"time":"t","level":"info","event":"x","n"#, to: "w.jsonl")
        let file = try EventFile(state: folder.state)
        #expect(file.poll() == [])
        #expect(malformed(file.unfinished()).count == 1)
        try folder.append(#"":5}"# + "\n", to: "w.jsonl")
        #expect(numbers(file.poll()) == [5])
        #expect(file.unfinished() == [])
    }

    @Test func reportsWhatItCannotReadAndGoesOn() throws {
        let folder = LogFolder()
        try folder.append("garbage\n\n{\"time\":\"20", to: "w.jsonl")
        let writer = try EventWriter(directory: folder.logs, name: "w")
        write(1...1, with: writer)
        try folder.append(String(repeating: "x", count: (1 << 20) + 70_000) + "\n", to: "w.jsonl")
        write(2...2, with: writer)
        let entries = try EventFile(state: folder.state).poll()
        #expect(numbers(entries) == [1, 2])
        #expect(malformed(entries).count == 3)
        #expect(
            malformed(entries).contains(.malformed(log: "w", reason: "a line is longer than 1048576 bytes")))
    }

    @Test func ordersSeveralLogsByTimeAndFindsNewOnes() throws {
        let folder = LogFolder()
        let first = try EventWriter(directory: folder.logs, name: "b")
        write(2...2, with: first)
        let file = try EventFile(state: folder.state)
        #expect(numbers(file.poll()) == [2])
        let second = try EventWriter(directory: folder.logs, name: "a")
        write(5...5, with: first)
        write(3...4, with: second)
        #expect(numbers(file.poll()) == [3, 4, 5])
    }

    /// Several logs of many pieces each, cut into files: as a sort of everything would have it.
    @Test func weavesLongLogsTogether() throws {
        let folder = LogFolder()
        var generator = SystemRandomNumberGenerator()
        let writers = try ["a", "b", "c"].map {
            try EventWriter(directory: folder.logs, name: $0, maximumBytes: 150_000, files: 20)
        }
        var expected: [(time: Int, log: Int, n: Int)] = []
        var times = [0, 0, 0]
        for n in 0..<6000 {
            let log = Int.random(in: 0..<3, using: &generator)
            times[log] += Int.random(in: 0...3, using: &generator)
            writers[log].write(
                LogEvent("diagnostic", ["n": .int(n), "text": .string(String(repeating: "x", count: 100))]),
                at: moment(Double(times[log])))
            expected.append((times[log], log, n))
        }
        // Within one instant the first log comes first, and each log keeps its order.
        let sorted = expected.sorted { ($0.time, $0.log, $0.n) < ($1.time, $1.log, $1.n) }.map(\.n)
        #expect(try numbers(EventFile(state: folder.state).poll()) == sorted)
    }

    @Test func keepsALogsOrderWhereItsClockWasSetBack() throws {
        let folder = LogFolder()
        let (first, second) = try (
            EventWriter(directory: folder.logs, name: "a"), EventWriter(directory: folder.logs, name: "b")
        )
        for (n, time) in [(1, 10.0), (2, 3), (3, 4)] {
            first.write(LogEvent("diagnostic", ["n": .int(n)]), at: moment(time))
        }
        second.write(LogEvent("diagnostic", ["n": .int(4)]), at: moment(5))
        #expect(try numbers(EventFile(state: folder.state).poll()) == [4, 1, 2, 3])
    }

    @Test func goesOnBehindWhatWasHandedOut() throws {
        let folder = LogFolder()
        struct Enough: Error {}
        let writer = try EventWriter(directory: folder.logs, name: "w", maximumBytes: 200, files: 10)
        write(1...7, with: writer)
        write(8...9, with: try EventWriter(directory: folder.logs, name: "other"))
        let file = try EventFile(state: folder.state)
        var seen: [LogEntry] = []
        #expect(throws: Enough.self) {
            try file.read { entry in
                seen.append(entry)
                if seen.count == 4 { throw Enough() }
            }
        }
        write(10...10, with: writer)
        #expect(numbers(seen + file.poll()) == Array(1...10))
    }

    @Test func filtersByNameOrFamily() throws {
        let folder = LogFolder()
        let writer = try EventWriter(directory: folder.logs, name: "w")
        for name in ["round.opened", "round.closed", "roundabout", "run.started"] { writer.write(LogEvent(name)) }
        func names(_ filter: String?) throws -> [String] {
            var wanted = EventFilter()
            if let filter { wanted.events = [filter] }
            return try EventFile(state: folder.state, filter: wanted).poll().compactMap {
                if case .event(let logged) = $0 { logged.event.name } else { nil }
            }
        }
        #expect(try names("round") == ["round.opened", "round.closed"])
        #expect(try names("round.closed") == ["round.closed"])
        #expect(try names(nil).count == 4)
    }

    @Test func startsOverWhenALogWasEmptied() throws {
        let folder = LogFolder()
        let writer = try EventWriter(directory: folder.logs, name: "w", maximumBytes: 200, files: 1)
        let file = try EventFile(state: folder.state)
        write(1...2, with: writer)
        #expect(numbers(file.poll()) == [1, 2])
        write(3...3, with: writer)
        #expect(numbers(file.poll()) == [3])
    }

    @Test func followsUntilCancelled() async throws {
        let folder = LogFolder()
        let writer = try EventWriter(directory: folder.logs, name: "w")
        write(1...1, with: writer)
        let state = folder.state
        let (seen, feed) = AsyncStream.makeStream(of: Int.self)
        let following = Task {
            let file = try EventFile(state: state)
            try await file.follow(every: .milliseconds(1)) { entry in
                if case .event(let logged) = entry, case .int(let n)? = logged.event["n"] { feed.yield(n) }
            }
        }
        var iterator = seen.makeAsyncIterator()
        #expect(await iterator.next() == 1)
        write(2...2, with: writer)
        #expect(await iterator.next() == 2)
        following.cancel()
        await #expect(throws: CancellationError.self) { try await following.value }
    }

    @Test func namesAFolderWithoutLogs() {
        #expect(throws: MonitorError.noLogs("/nowhere")) { try EventFile(state: "/nowhere") }
    }
}
