import Testing
import Transport

@Suite struct TransportBenchmarkTests {
    /// Speed is for `pleach bench transport` on a quiet machine; here it only has to move the bytes.
    @Test func measuresAllThreeWays() async throws {
        let figures = try await TransportBenchmark.run(megabytes: 4, repetitions: 1)
        #expect(figures.chunkMegabytesPerSecond > 0 && figures.rawMegabytesPerSecond > 0)
        #expect(figures.rawPlainMegabytesPerSecond > 0)
        #expect(figures.ratio == figures.chunkMegabytesPerSecond / figures.rawMegabytesPerSecond)
    }
}
