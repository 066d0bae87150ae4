import Compression
import Engine
import Federation
import Foundation
import Ledger
import ModelGraph
import Shell
import Tensors
import Testing
import UpdateCodec

@testable import Coordinator
@testable import Worker

/// A quantized file by a fleet's measurements, from the workers' samples to what the report says of each layer.
struct QuantizeStepTests {
    private static let scope = QuantizationScope(target: .x86)
    private static let bits = [2, 3, 4, 6, 8]
    private static let mixed = QuantizeRules(
        scope: scope, amount: .averageBits(4), candidates: bits, rounding: .gptq)

    /// To the bit: histograms are whole numbers.
    @Test func histogramsOfThreeShardsAreThoseOfAllData() throws {
        let bench = try QuantizeBench()
        let work = TaskWork.calibrate(samples: 1000, Self.scope)
        let whole = try bench.round(
            .calibration(Self.scope), work, shards: [QuantizeBench.shard(1, of: 1)])
        let parts = try bench.round(.calibration(Self.scope), work, shards: QuantizeBench.thirds)
        let points = try bench.numerics.measured(Self.scope).points
        func set(_ step: ComputedStep) throws -> CalibrationSet {
            try CalibrationSet(
                parsing: bench.blobs.get(try #require(step.outcome.evidence?.calibration).digest), expecting: points)
        }
        let (one, three) = (try set(whole), try set(parts))
        #expect(!points.isEmpty && one.names == three.names)
        for (a, b) in zip(one.histograms, three.histograms) { #expect(a.count == b.count) }
        // The first value is the data themselves, which no batch's arithmetic touches.
        #expect(one.histograms.first == three.histograms.first)
        #expect(whole.snapshot == nil && whole.outcome.compact == nil)
    }

    @Test func momentsAndSensitivitiesAreMeansOfTheFleet() throws {
        let bench = try QuantizeBench()
        let rules = Self.mixed
        let parts = try bench.evidence(rules, bits: Self.bits)
        let alone = try bench.evidence(rules, bits: Self.bits, shards: [QuantizeBench.shard(1, of: 1)])
        let layout = try bench.numerics.measured(Self.scope).momentLayout
        #expect(!layout.layers.isEmpty)
        func moments(_ blobs: QuantizationEvidenceBlobs) throws -> MomentSet {
            try MomentSet(parsing: bench.blobs.get(try #require(blobs.moments).digest), expecting: layout.moments)
        }
        #expect(try moments(parts).names == moments(alone).names)
        func table(_ blobs: QuantizationEvidenceBlobs) throws -> SensitivityTable {
            try SensitivityBlob.parse(bench.blobs.get(try #require(blobs.sensitivities).digest), path: "table")
        }
        let (mean, one) = (try table(parts), try table(alone))
        #expect(mean.bits == Self.bits && mean.layers == one.layers && mean.layers.contains("conv1.weight"))
        // Fewer bits cost more.
        for costs in mean.costs { #expect(costs[0] > costs[4]) }
    }

    /// The whole way, twice: what was restored from records gives the same bytes.
    @Test func aBudgetWithLearnedRoundingBecomesAFileThatIsExplained() throws {
        let bench = try QuantizeBench()
        let decision = QuantizeDecision(rules: Self.mixed, evidence: try bench.evidence(Self.mixed, bits: Self.bits))
        let step = try bench.quantize(decision)
        let facts = try #require(step.outcome.quantization)
        #expect(step.snapshot == nil && facts.target == "x86" && facts.layers == 4)
        #expect(try #require(facts.averageBits) <= 4 && facts.integerShare ?? 0 > 0.9)
        #expect(facts.givenUp.isEmpty && facts.canRetreat && facts.explanation != nil)
        let graph = try bench.file(step)
        #expect(graph.nodes.contains { $0.operatorType == "QuantizeLinear" })
        let before = try bench.explanation(step)
        #expect(before.layers.count == facts.layers && before.agreement == nil && before.front.count > 3)
        #expect(Set(before.layers.map(\.bits)).count > 1, "a budget gives each layer its own")
        let again = try CoordinatorNumerics(
            plan: bench.plan, blobs: bench.blobs, directory: "/nowhere", facts: bench.base)
        let repeated = try again.compute(.transform(.quantize(decision), base: bench.base))
        #expect(repeated.outcome.compact == step.outcome.compact)
        #expect(repeated.outcome.quantization == facts)

        let (compact, reference) = (try #require(step.outcome.compact), try #require(facts.explanation))
        let compared = try bench.round(
            .comparison(Self.scope, explanation: reference),
            .compare(samples: 40, Self.scope, compact: compact), shards: QuantizeBench.thirds)
        let after = try bench.explanation(compared)
        #expect(compared.outcome.quantization?.layers == facts.layers && after.facts.averageBits == facts.averageBits)
        #expect((0...1).contains(try #require(after.agreement)))
        let noise = after.layers.compactMap(\.signalToNoise)
        #expect(!noise.isEmpty && noise == noise.sorted(), "the worst first")

        let evaluated = try bench.round(
            .metrics, .evaluate(samples: nil, compact: compact), shards: QuantizeBench.thirds)
        #expect(evaluated.outcome.accuracy != nil)
    }

    /// What is given up grows until nothing is left to give.
    @Test func retreatsEndWithTheFloatModel() throws {
        let bench = try QuantizeBench()
        let rules = QuantizeRules(scope: Self.scope, weights: WeightRules(bits: 2))
        var decision = QuantizeDecision(rules: rules, evidence: try bench.evidence(rules, bits: [2, 8]))
        var facts = try #require(try bench.quantize(decision).outcome.quantization)
        #expect(facts.canRetreat && facts.averageBits == 2)
        decision.retreats = 1
        let one = try #require(try bench.quantize(decision).outcome.quantization)
        #expect(one.givenUp.count == 1 && one.averageBits ?? 0 > 2)
        var last: ComputedStep?
        while facts.canRetreat, decision.retreats < 64 {
            decision.retreats += 1
            last = try bench.quantize(decision)
            facts = try #require(last?.outcome.quantization)
        }
        #expect(!facts.canRetreat && facts.layers == 0 && !facts.givenUp.isEmpty)
        let plain = try bench.file(try #require(last))
        #expect(!plain.nodes.contains { $0.operatorType == "QuantizeLinear" })
    }

    @Test func strictFilesAreRefusedWithTheNode() throws {
        let bench = try QuantizeBench(export: "{target: x86, strict: true}")
        let rules = QuantizeRules(scope: QuantizationScope(target: .x86, excluded: ["fc1.weight"]))
        let found = try bench.evidence(rules, bits: [8])
        let error = #expect(throws: ModelError.self) {
            _ = try bench.quantize(QuantizeDecision(rules: rules, evidence: found))
        }
        #expect(error.map { "\($0)".contains("export.strict") } == true)
    }

    @Test func fewSamplesAreSaid() throws {
        let bench = try QuantizeBench()
        let rules = QuantizeRules(scope: Self.scope)
        let found = try bench.evidence(
            rules, bits: [8], shards: [QuantizeBench.shard(1, of: 1, samples: 40)])
        let facts = try #require(
            try bench.quantize(QuantizeDecision(rules: rules, evidence: found)).outcome.quantization)
        #expect(facts.remarks.contains { $0.contains("40 samples") }, "\(facts.remarks)")
    }

    // MARK: Training

    /// Rounding is simulated, trained and re-estimated; the file has what was trained.
    @Test func simulatedRoundingIsTrainedAndWritten() throws {
        var masks = MaskSet(epoch: 2)
        let graph = try QuantizeBench().graph
        masks.bitmaps["conv2.weight"] = Bitmap(
            repeating: true, count: try graph.initializers.require("conv2.weight").elementCount)
        masks.bitmaps["conv2.weight"]?[1] = false
        let bench = try QuantizeBench(masks: masks)
        let rules = QuantizeRules(scope: Self.scope, weights: WeightRules(bits: 3))
        let found = try #require(
            try bench.round(
                .calibration(Self.scope), .calibrate(samples: 1000, Self.scope), shards: QuantizeBench.thirds
            ).outcome.evidence)
        let opening = bench.base
        var decision = QuantizeDecision(rules: rules, evidence: found, isSimulated: true)
        let simulated = try #require(
            try bench.numerics.compute(.transform(.simulate(decision), base: opening)).snapshot)
        #expect(simulated.isFresh && simulated.delta == nil && simulated.graph != opening.graph)
        #expect(simulated.maskEpoch == 3 && simulated.sparsity > 0 && simulated.version == 1)
        bench.base = simulated
        let trainable = try Graph.load(simulated, from: bench.blobs)
        #expect(trainable.simulatesQuantization && trainable.prunableNames == graph.prunableNames)
        for statistics in [StatisticsMode.learned, .frozen, .reestimated] {
            let recipe = TrainingRecipe(batch: 20, learningRate: 0.01, statistics: statistics)
            let before = bench.base
            let step = try bench.round(
                .average(), .train(recipe, teacher: nil), shards: QuantizeBench.thirds)
            #expect(step.snapshot?.version == before.version + 1 && step.snapshot?.isFresh == false)
        }
        let step = try bench.quantize(decision, source: StepSource(snapshot: opening))
        #expect(step.outcome.quantization?.averageBits == 3)
        let file = try bench.file(step)
        #expect(!file.simulatesQuantization)
        // The file says what the trained graph says, but for rounding.
        let inputs = try RandomBatch.inputs(for: file, rows: 8)
        let expected = try Executable(Graph.load(bench.base, from: bench.blobs)).logits(inputs).floats
        let written = try Executable(file).logits(inputs).floats
        let largest = expected.map(abs).max() ?? 0
        for (a, b) in zip(expected, written) { #expect(abs(a - b) <= 0.05 * largest + 1e-3) }
        // Everything given up is the model before training, not the one that learned to be rounded.
        decision.retreats = 1 << 10
        let plain = try bench.quantize(decision, source: StepSource(snapshot: opening))
        #expect(plain.outcome.quantization?.layers == 0)
        let float = try Executable(Graph.load(opening, from: bench.blobs)).logits(inputs).floats
        for (a, b) in zip(float, try Executable(bench.file(plain)).logits(inputs).floats) {
            #expect(abs(a - b) <= 1e-3 * max(1, abs(a)))
        }
    }

    // MARK: Hostile contributions

    @Test(arguments: ["calibrate", "moments", "sensitivity", "compare"])
    func hostileMeasurementsAreRefusedAndTheRoundGoesOn(task: String) throws {
        let bench = try QuantizeBench()
        let request = SensitivityRequest(samples: 20, scope: Self.scope, weights: WeightRules(), bits: [4, 8])
        let rules = QuantizeRules(scope: Self.scope)
        let compact = try bench.quantize(
            QuantizeDecision(rules: rules, evidence: try bench.evidence(rules, bits: [8])))
        let (rule, work): (FoldRule, TaskWork) =
            switch task {
            case "calibrate": (.calibration(Self.scope), .calibrate(samples: 20, Self.scope))
            case "moments": (.inputMoments(Self.scope), .inputMoments(samples: 20, Self.scope))
            case "sensitivity": (.sensitivity(request), .sensitivity(request))
            default:
                (
                    .comparison(
                        Self.scope, explanation: try #require(compact.outcome.quantization?.explanation)),
                    .compare(samples: 20, Self.scope, compact: try #require(compact.outcome.compact))
                )
            }
        let honest = try bench.contribution("w1", work, QuantizeBench.shard(1, of: 3))
        let bytes = try bench.blobs.get(try #require(honest.submission.blob).digest)
        try bench.numerics.openFold(rule, base: bench.base, restoring: [])
        var forgeries: [[UInt8]] = [[], Array(bytes.dropLast()), bytes + [0], Array("{}".utf8), CalibrationSet.magic]
        if task == "sensitivity" {
            for value in [Float.nan, -1, .infinity] {
                var forged = bytes
                for (place, byte) in withUnsafeBytes(of: value.bitPattern.littleEndian, Array.init).enumerated() {
                    forged[forged.count - 4 + place] = byte
                }
                forgeries.append(forged)
            }
            let other = SensitivityTable(layers: ["conv1.weight"], bits: [4, 8], costs: [[1, 0]])
            forgeries.append(try SensitivityBlob.serialize(other))
        }
        for forgery in forgeries {
            var facts = honest
            facts.submission.blob = BlobReference(
                digest: try bench.blobs.put(forgery), byteCount: forgery.count)
            guard case .refused = try bench.numerics.examine(facts) else {
                Issue.record("\(forgery.count) bytes were taken")
                continue
            }
        }
        #expect(try bench.numerics.examine(honest) == .folded)
    }
}
