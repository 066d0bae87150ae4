import ArgumentParser
import Foundation
import Transport

struct BenchTransportCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "transport", abstract: "Chunk streaming beside bare ZeroMQ sockets.",
        discussion: """
            One sender and one receiver over TCP loopback. Bare sockets send messages of 1 MiB, a chunk's size. \
            Example: pleach bench transport --megabytes 512 --json
            """)

    @Option(help: "MiB of one transfer.")
    var megabytes = 512

    @Option(help: "Transfers of each kind, in turns; medians are printed.")
    var repetitions = 7

    @Flag(help: "Print JSON.")
    var json = false

    func run() async throws {
        try await exitingOnError {
            guard (1...4096).contains(megabytes), (1...100).contains(repetitions) else {
                throw ValidationError("--megabytes is 1 to 4096, --repetitions 1 to 100")
            }
            let figures = try await TransportBenchmark.run(megabytes: megabytes, repetitions: repetitions)
            if json { return try printJSON(figures) }
            print(
                String(
                    format: """
                        chunks, CURVE           %6.0f MB/s
                        bare socket, CURVE      %6.0f MB/s
                        bare socket, open       %6.0f MB/s
                        chunks / bare, CURVE    %6.2f
                        """, figures.chunkMegabytesPerSecond, figures.rawMegabytesPerSecond,
                    figures.rawPlainMegabytesPerSecond, figures.ratio))
        }
    }
}
