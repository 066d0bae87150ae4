import Engine
import ModelGraph
import Tensors
import Testing

@testable import Compression

/// Which bits layers get, and which become integers at all.
struct QuantizationBudgetTests {
    private static func model() throws -> Graph {
        try ModelBuilder.build(architecture: "cnn", inputShape: [1, 12, 12], classes: 4, width: 8, seed: 3)
    }

    /// In steps of a 64th, so that sums are exact and equal ones occur.
    private static func steps(_ count: Int, _ range: Range<Int>, _ random: inout SeededGenerator) -> [Double] {
        (0..<count).map { _ in Double(range.lowerBound + random.index(below: range.count)) / 64 }
    }

    /// Among all choices of layers, none within the time costs less.
    @Test(arguments: 0..<40) func millisecondsGetTheBestOfAllChoices(_ seed: Int) throws {
        var random = SeededGenerator(seed: UInt64(seed))
        let probe = try ModelQuantizer(Self.model(), settings: QuantizationSettings(amount: .milliseconds(1)))
        #expect(probe.candidates == [8] && probe.needsSensitivities)
        let count = probe.layers.count
        let times = LayerTimes(float: 3, saved: Self.steps(count, -20..<90, &random))
        let costs = Self.steps(count, 0..<12, &random)
        let sensitivities = SensitivityTable(
            layers: probe.layers.map(\.name), bits: [4, 8], costs: costs.map { [9, $0] })
        let evidence = QuantizationEvidence(sensitivities: sensitivities, times: times)
        let choices = (0..<1 << count).map { set in
            let chosen = (0..<count).filter { set >> $0 & 1 == 1 }
            return (
                time: chosen.reduce(times.float) { $0 - times.saved[$1] },
                cost: chosen.reduce(0) { $0 + costs[$1] }
            )
        }
        let least = choices.map(\.time).min() ?? 0
        for budget in [least, least + 0.25, 2, 3, 4] where budget >= max(least, 1 / 64) {
            let quantizer = try ModelQuantizer(
                Self.model(), settings: QuantizationSettings(amount: .milliseconds(budget)))
            let bits = try quantizer.bits(evidence).bits
            #expect(bits.values.allSatisfy { $0 == 8 })
            let chosen = quantizer.layers.indices.filter { bits[quantizer.layers[$0].name] != nil }
            let time = chosen.reduce(times.float) { $0 - times.saved[$1] }
            let cost = chosen.reduce(0) { $0 + costs[$1] }
            let best = choices.filter { $0.time <= budget }.map(\.cost).min()
            #expect(time <= budget && cost == best)
        }
        guard least > 1 / 32 else { return }
        let tight = try ModelQuantizer(
            Self.model(), settings: QuantizationSettings(amount: .milliseconds(least - 1 / 64)))
        let error = #expect(throws: CompressionError.self) { try tight.bits(evidence) }
        #expect("\(try #require(error))".contains("ms a sample; give that or more"), "\(error.map { "\($0)" } ?? "")")
    }

    @Test func timesThatAreMissingOrNoneAreNamed() throws {
        let quantizer = try ModelQuantizer(Self.model(), settings: QuantizationSettings(amount: .milliseconds(1)))
        var evidence = quantizer.rehearsalEvidence()
        evidence.times = nil
        let missing = #expect(throws: CompressionError.self) { try quantizer.bits(evidence) }
        #expect("\(try #require(missing))".contains("time"))
        for bad in [Double.nan, .infinity, 1e12] {
            let saved = quantizer.layers.map { _ in bad }
            evidence.times = LayerTimes(float: 1, saved: saved)
            #expect(throws: CompressionError.self) { try quantizer.bits(evidence) }
        }
        for bad in [0, -1, Double.nan, .infinity] {
            #expect(throws: CompressionError.self) {
                try ModelQuantizer(Self.model(), settings: QuantizationSettings(amount: .milliseconds(bad)))
            }
        }
    }

    /// Layers that time leaves float32 keep their weights, and values between two of them are not quantized.
    @Test func whatTimeLeavesFloatIsLeftAlone() throws {
        let quantizer = try ModelQuantizer(Self.model(), settings: QuantizationSettings(amount: .milliseconds(2)))
        var evidence = quantizer.rehearsalEvidence()
        // The first layer alone is worth it; then none is needed.
        let saved = quantizer.layers.indices.map { $0 == 0 ? 1.0 : 0 }
        evidence.times = LayerTimes(float: 2.5, saved: saved)
        let some = try quantizer.quantize(evidence)
        let name = try #require(quantizer.layers.first).name
        #expect(some.layers.map(\.name) == [name])
        for layer in quantizer.layers.dropFirst() {
            #expect(some.graph.initializers[layer.name] == some.deployed.initializers[layer.name])
        }
        #expect(some.graph.initializers[name] == nil)
        #expect(some.activations.count < quantizer.points.count)
        evidence.times = LayerTimes(float: 1.5, saved: saved)
        let none = try quantizer.quantize(evidence)
        #expect(none.layers.isEmpty && !none.graph.nodes.contains { $0.operatorType == "QuantizeLinear" })
    }

    /// Bytes that a budget counts are the file's: codes as they are packed, or not, and scales.
    @Test(arguments: [true, false]) func bytesAreThoseOfTheFile(_ packs: Bool) throws {
        let graph = try ModelBuilder.build(architecture: "cnn", inputShape: [1, 28, 28], classes: 10, seed: 3)
        let settings = QuantizationSettings(
            weights: WeightScheme(bits: 4, range: .leastSquares), amount: .bytes(120_000), packs: packs)
        let quantizer = try ModelQuantizer(graph, settings: settings)
        guard packs else {
            // Every number of bits takes a byte a weight: no choice keeps within.
            #expect(throws: CompressionError.self) { try quantizer.quantize(quantizer.rehearsalEvidence()) }
            return
        }
        let result = try quantizer.quantize(quantizer.rehearsalEvidence())
        let own = quantizer.layers.map(\.name)
        let bytes = result.graph.initializers.ordered.reduce(0) { sum, entry in
            own.contains { entry.name.hasPrefix("\($0).") } ? sum + entry.tensor.bytes.count : sum
        }
        #expect(bytes <= 120_000 && bytes > 80_000, "\(bytes)")
        let codes = result.layers.reduce(0) { $0 + ($1.weights * $1.bits + 7) / 8 }
        #expect(bytes > codes, "scales count")
        #expect(result.front.contains { $0.size >= bytes })
    }

    @Test func candidatesAreWhatTheTargetHolds() throws {
        func candidates(_ target: DeploymentTarget, _ levels: WeightScheme.Levels = .uniform) -> [Int] {
            var scheme = WeightScheme(for: target)
            (scheme.levels, scheme.bits) = (levels, 4)
            return QuantizationSettings(target: target, weights: scheme, amount: .averageBits(3)).candidates
        }
        #expect(candidates(.x86) == [2, 3, 4, 5, 6, 8] && candidates(.x86NoVNNI) == [2, 3, 4, 5, 6, 7])
        #expect(candidates(.int4) == [2, 3, 4] && candidates(.x86, .kMeans) == [2, 3, 4, 5, 6, 7])
        #expect(candidates(.x86, .powersOfTwo) == [2, 3, 4])
        func failure(_ target: DeploymentTarget, _ levels: WeightScheme.Levels, _ candidates: [Int]) -> String {
            var scheme = WeightScheme(for: target)
            (scheme.levels, scheme.bits) = (levels, 4)
            let settings = QuantizationSettings(
                target: target, weights: scheme, amount: .averageBits(3), candidates: candidates)
            do throws(CompressionError) {
                try settings.validate()
                return ""
            } catch { return "\(error)" }
        }
        #expect(failure(.x86NoVNNI, .uniform, [4, 8]).contains("7 bits at most, not 8"))
        #expect(failure(.int4, .uniform, [3, 5]).contains("4 bits at most, not 5"))
        #expect(failure(.x86, .kMeans, [4, 8]).contains("7 bits at most, not 8"))
        #expect(failure(.x86, .kMeans, [4, 7]).isEmpty)
    }

    /// A number of bits that was not measured is asked for by name.
    @Test func whatWasNotMeasuredIsNamed() throws {
        let quantizer = try ModelQuantizer(
            Self.model(), settings: QuantizationSettings(amount: .averageBits(4), candidates: [3, 4, 5]))
        let names = quantizer.layers.map(\.name)
        var evidence = quantizer.rehearsalEvidence()
        evidence.sensitivities = SensitivityTable(layers: names, bits: [3, 4], costs: names.map { _ in [2, 1] })
        let error = #expect(throws: CompressionError.self) { try quantizer.bits(evidence) }
        #expect("\(try #require(error))".contains("at 5 bits"))
    }
}
