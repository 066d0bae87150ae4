import Federation
import Foundation
import Monitor

/// Logs the events of a real run once more: into files as a daemon does, and drawn for a terminal into /dev/null.
enum LogBenchmark {
    struct Figures: Encodable {
        /// Of all the run's logs: its coordinator's and, after `pleach run`, its workers'.
        var events: Int
        var bytes: Int
        /// From the first event to the last; pauses between two sessions of one run are in it.
        var runSeconds: Double
        var microsecondsToWrite: Double
        var microsecondsToDraw: Double
        /// Time to write and draw all events over the time of the run.
        var share: Double
    }

    private struct NothingToMeasure: Error, CustomStringConvertible {
        var state: String
        var description: String {
            "the logs in \(state) span no time: take the state folder of a run that did something"
        }
    }

    static func run(state: String, times: Int) throws -> Figures {
        let logged: [LoggedEvent] = try EventFile(state: state).poll().compactMap {
            if case .event(let event) = $0 { event } else { nil }
        }
        let stamps = logged.compactMap { try? Date($0.time, strategy: Self.stamp) }
        guard let first = stamps.min(), let last = stamps.max(), last > first else {
            throw NothingToMeasure(state: state)
        }
        let seconds = last.timeIntervalSince(first)
        let write = try writing(logged.map(\.event), times: times)
        let draw = drawing(logged.map(\.event), times: times)
        let each = 1e6 / Double(logged.count * times)
        return Figures(
            events: logged.count, bytes: logged.reduce(0) { $0 + $1.line.utf8.count + 1 }, runSeconds: seconds,
            microsecondsToWrite: write * each, microsecondsToDraw: draw * each,
            share: (write + draw) / Double(times) / seconds)
    }

    private static let stamp = Date.ISO8601FormatStyle(includingFractionalSeconds: true)

    private static func writing(_ events: [LogEvent], times: Int) throws -> Double {
        let folder = NSTemporaryDirectory() + "pleach-bench-logs-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let writer = try EventWriter(directory: folder, name: "bench")
        return seconds { for _ in 0..<times { for event in events { writer.write(event) } } }
    }

    private static func drawing(_ events: [LogEvent], times: Int) -> Double {
        let descriptor = open("/dev/null", O_WRONLY | O_CLOEXEC)
        defer { close(descriptor) }
        let style = HumanRenderer.Style(isLive: true, hasColours: true, columns: 120)
        let console = HumanConsole(style: style, descriptor: descriptor)
        defer { console.close() }
        return seconds { for _ in 0..<times { for event in events { console.take(event) } } }
    }

    private static func seconds(_ body: () -> Void) -> Double {
        let started = ContinuousClock.now
        body()
        return (ContinuousClock.now - started) / .seconds(1)
    }
}
