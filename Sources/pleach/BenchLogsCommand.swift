import ArgumentParser
import Foundation

struct BenchLogsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "logs",
        abstract:
            "What logging a run costs: its own events written and drawn once more, against the time the run took.",
        discussion: """
            Reads STATE/logs and changes nothing there; what it writes goes to a folder for temporary files, which is \
            removed. Example: pleach bench logs --state pleach-state
            """)

    @Option(help: "State folder of the run whose events are taken.", completion: .directory)
    var state = "pleach-state"

    @Option(help: "How often every event is written and drawn.")
    var times = 20

    @Flag(help: "Print JSON.")
    var json = false

    func run() async throws {
        try await exitingOnError {
            guard (1...10_000).contains(times) else { throw ValidationError("--times is 1 to 10000") }
            let figures = try LogBenchmark.run(state: state, times: times)
            if json { return try printJSON(figures) }
            print(
                String(
                    format: "%d events, %d bytes in %.0f s of the run", figures.events, figures.bytes,
                    figures.runSeconds))
            print(
                String(
                    format: "an event costs %.1f us to write, %.1f us to draw: %.4f %% of the run's time",
                    figures.microsecondsToWrite, figures.microsecondsToDraw, figures.share * 100))
        }
    }
}
