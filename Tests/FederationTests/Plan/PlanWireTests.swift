import Testing
import UpdateCodec

@testable import Federation

/// The wire of a plan that says only this about it.
private func wire(_ text: String) throws -> WireRules {
    try Plan.parse(planText("wire: {\(text)}"), path: "p.yaml", environment: [:]).wire
}

private func up(_ text: String) throws -> WireScheme { try wire("up: {\(text)}").up }

@Suite struct PlanWireTests {
    /// Otherwise "float32 both ways" would silently round biases to 16 bits.
    @Test func float32LosesNothingUnlessSmallTensorsAreToldTo() throws {
        #expect(try up("values: float32").smallValues == .float32)
        #expect(try up("values: float32, small: float16").smallValues == .float16)
        #expect(try up("values: int8").smallValues == .float16)
    }

    @Test(arguments: ValueFormat.allCases) func everyFormatHasItsWord(format: ValueFormat) throws {
        let manySigns = format == .ternary || format == .sign
        #expect(
            try up("values: \(format)")
                == WireScheme(
                    values: format, blockSize: manySigns ? 1024 : 256,
                    smallValues: format == .float32 ? .float32 : .float16))
        #expect(try up("small: \(format)").smallValues == format)
        #expect(try up("values: \(format), block: 7").blockSize == 7)
    }

    @Test func everyOptionArrives() throws {
        let written = try up(
            """
            density: 0.25, selection: block, values: codebook16, levels: kMeans, rotate: true, block: 64,
              scale: leastSquares, rounding: stochastic, coding: smallest, small: bfloat16, smallElements: 9,
              momentum: 0.9, clip: 2.5
            """)
        #expect(
            written
                == WireScheme(
                    selection: .topK(density: 0.25, method: .block), values: .codebook16, blockSize: 64,
                    rounding: .stochastic, scaling: .leastSquares, levels: .kMeans, coding: .smallest, rotates: true,
                    smallTensorElements: 9, smallValues: .bfloat16, momentum: 0.9, clipNorm: 2.5))
        #expect(try up("density: 0.5, selection: threshold").selection == .topK(density: 0.5, method: .threshold))
        #expect(try up("scale: largest").scaling == .largest)
        #expect(try up("coding: plain").coding == .plain)
        #expect(try up("small: codebook256, levels: kMeans").levels == .kMeans)
    }

    /// What a plan asks for elsewhere needs no other format.
    @Test func whatIsSwitchedOffNeedsNothing() throws {
        #expect(try up("momentum: 0, transfer: 2s, bandwidth: 1MB/s") == up("budget: 2MB"))
        #expect(try up("rotate: false, momentum: 0") == WireScheme())
    }

    // MARK: Budgets

    @Test(arguments: [
        ("budget: 200KB", 200_000), ("budget: 1KB", 1000), ("budget: 64KiB", 65_536), ("budget: 4GiB", 4 << 30),
        ("bandwidth: 1MB/s", 1_000_000), ("bandwidth: 1MiB/s, transfer: 500ms", 1 << 19),
        ("bandwidth: 200KB/s, transfer: 73ms", 14_600), ("bandwidth: 1KB/s, transfer: 1m", 60_000),
        ("bandwidth: 125000/s, transfer: 2", 250_000),
    ])
    func aBudgetHoldsForBothDirections(text: String, bytes: Int) throws {
        let scheme = WireScheme(budget: bytes)
        #expect(try wire(text) == WireRules(up: scheme, down: scheme))
        #expect(try up(text) == scheme)
    }

    @Test func aDirectionSaysMoreThanTheWire() throws {
        let both = try wire("budget: 200KB, up: {budget: 1MB}, down: {density: 0.1}")
        #expect(both.up == WireScheme(budget: 1_000_000))
        #expect(both.down == WireScheme(selection: .topK(density: 0.1)))
        #expect(try wire("budget: 200KB, down: {values: int4}").down == WireScheme(values: .int4))
        // Other keys leave the budget in force.
        let tuned = try wire("budget: 200KB, up: {momentum: 0.5, clip: 1, coding: plain, block: 32}").up
        #expect(
            tuned == WireScheme(blockSize: 32, coding: .plain, budget: 200_000, momentum: 0.5, clipNorm: 1))
    }

    @Test func halfALineIsCompletedByTheWire() throws {
        let line = "bandwidth: 1MB/s, transfer: 2s"
        #expect(try wire("\(line), up: {transfer: 500ms}").up.budget == 500_000)
        #expect(try wire("\(line), up: {bandwidth: 100KB/s}").up.budget == 200_000)
        #expect(try wire("\(line), up: {budget: 3KB}").up.budget == 3000)
        #expect(try wire("\(line), up: {bandwidth: 100KB/s, transfer: 1s}").up.budget == 100_000)
        #expect(try wire("\(line), up: {transfer: 500ms}").down.budget == 2_000_000)
        #expect(try wire("budget: 5KB, up: {bandwidth: 100KB/s}").up.budget == 100_000)
    }

    @Test(arguments: [("1MB/s", 1_000_000), ("200KiB/s", 204_800), ("7/s", 7)])
    func rates(text: String, rate: Int) { #expect(PlanRate.bytesPerSecond(text) == rate) }

    @Test(arguments: ["1MB", "1 MB/s", "1MB/h", "1.5MB/s", "/s", "-1/s", "9223372036854775807KB/s", "1MB/s/s"])
    func notRates(text: String) { #expect(PlanRate.bytesPerSecond(text) == nil) }

    @Test(arguments: [
        (1000, "1KB"), (1024, "1KiB"), (1 << 20, "1MiB"), (4 << 30, "4GiB"), (1_000_000_000_000, "1TB"), (1001, "1001"),
        (0, "0"), (65_536, "64KiB"), (64_000, "64KB"),
    ])
    func sizesAreWrittenShort(bytes: Int, text: String) {
        #expect(PlanSize.plain(bytes) == text)
        #expect(PlanSize.bytes(text) == bytes)
    }
}
