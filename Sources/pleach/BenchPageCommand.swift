import ArgumentParser
import Foundation

struct BenchPageCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "page",
        abstract: "Time of the status page's answers with a large fleet and a long run behind it.",
        discussion: """
            The run is made up, server and requests are real: HTTP on loopback. Every request asks for what changed since \
            the one before. Example: pleach bench page --workers 1000 --rounds 1000
            """)

    @Option(help: "Workers of the fleet.")
    var workers = 1000

    @Option(help: "Rounds in the ledger.")
    var rounds = 1000

    @Option(help: "Requests of each kind.")
    var requests = 30

    @Flag(help: "Print JSON.")
    var json = false

    func run() async throws {
        try await exitingOnError {
            guard (1...10_000).contains(workers), (1...100_000).contains(rounds), (1...10_000).contains(requests) else {
                throw ValidationError("--workers is 1 to 10000, --rounds 1 to 100000, --requests 1 to 10000")
            }
            let figures = try await PageBenchmark(workers: workers, rounds: rounds).run(requests: requests)
            if json { return try printJSON(figures) }
            for answer in figures.answers {
                print(
                    answer.path.padding(toLength: 28, withPad: " ", startingAt: 0)
                        + String(
                            format: "%9.2f ms median %9.2f ms longest %9d bytes", answer.medianMilliseconds,
                            answer.longestMilliseconds, answer.bytes))
            }
            print(
                String(
                    format: "an open page costs the coordinator %.2f %% of one processor", figures.openPageShare * 100))
        }
    }
}
