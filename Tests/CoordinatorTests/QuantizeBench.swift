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

/// A coordinator and shards on one store, and the steps of a quantize stage between them.
final class QuantizeBench {
    private let store: OpeningStore
    let plan: Plan
    let numerics: CoordinatorNumerics
    let graph: Graph
    var base: SnapshotFacts
    var blobs: BlobStore { store.blobs }

    init(export: String = "{target: x86}", masks: MaskSet = MaskSet()) throws {
        plan = try Plan.parse(
            "model: {architecture: cnn, width: 4}\nstages: [{quantize: {}}]\nexport: \(export)\n", path: "plan",
            environment: [:])
        graph = try ModelBuilder.build(
            architecture: "cnn", inputShape: [1, 28, 28], classes: 10, width: 4, seed: 3)
        store = try OpeningStore(graph)
        base = store.base
        if masks.epoch > 0 {
            var snapshot = Snapshot(graph: base.graph.digest, parameters: graph.parameterTensors(), masks: masks)
            snapshot.zeroDeadWeights()
            let bytes = snapshot.serialized()
            base.snapshot = BlobReference(digest: try store.blobs.put(bytes), byteCount: bytes.count)
            base.maskEpoch = masks.epoch
        }
        numerics = try CoordinatorNumerics(plan: plan, blobs: store.blobs, directory: store.folder, facts: base)
    }

    static func shard(_ number: Int, of count: Int, samples: Int = 180) -> String {
        "synthetic:digits?samples=\(samples)&shard=\(number)/\(count)"
    }

    /// One worker's result, with its part of the data as a SPEC.
    func contribution(_ name: String, _ work: TaskWork, _ spec: String) throws -> ContributionFacts {
        let runner = TaskRunner(blobs: blobs, data: try WorkerData(spec: DataSpec(parsing: spec, environment: [:])))
        let offer = TaskOffer(
            round: base.version, leaseSeconds: 10, seed: 5,
            snapshot: SnapshotReference(
                version: base.version, snapshot: base.snapshot, graph: base.graph, maskEpoch: base.maskEpoch),
            scheme: plan.wire.up, acceptedRounds: 0, work: work)
        let result = try runner.run(offer, residual: nil, progress: { _ in }, isCancelled: { false })
        return ContributionFacts(
            round: base.version, worker: name, submission: result.submission, base: base.snapshot.digest,
            weight: UInt32(result.submission.metrics.samples))
    }

    /// What a fleet says together, folded in the order of arrival, which is not that of the names.
    func round(_ rule: FoldRule, _ work: TaskWork, shards: [String]) throws -> ComputedStep {
        let arrived = try shards.enumerated().map { try contribution("w\($0.offset)", work, $0.element) }
        try numerics.openFold(rule, base: base, restoring: [])
        for facts in arrived.reversed() { #expect(try numerics.examine(facts) == .folded) }
        let step = try numerics.compute(.fold(rule, round: 0, contributions: arrived, base: base))
        if let snapshot = step.snapshot { base = snapshot }
        return step
    }

    static let thirds = (1...3).map { shard($0, of: 3) }

    /// All that a budget with learned rounding asks for.
    func evidence(
        _ rules: QuantizeRules, bits: [Int], shards: [String] = thirds
    ) throws -> QuantizationEvidenceBlobs {
        let scope = rules.scope
        let request = SensitivityRequest(samples: 40, scope: scope, weights: rules.weights, bits: bits)
        let steps = [
            try round(.calibration(scope), .calibrate(samples: 1000, scope), shards: shards),
            try round(.inputMoments(scope), .inputMoments(samples: 1000, scope), shards: shards),
            try round(.sensitivity(request), .sensitivity(request), shards: shards),
        ]
        return steps.reduce(QuantizationEvidenceBlobs()) {
            $0.adding($1.outcome.evidence ?? QuantizationEvidenceBlobs())
        }
    }

    func quantize(_ decision: QuantizeDecision, source: StepSource? = nil) throws -> ComputedStep {
        try numerics.compute(.transform(.quantize(decision), base: base, source: source))
    }

    func file(_ step: ComputedStep) throws -> Graph {
        try Graph.load(blobs.get(try #require(step.outcome.compact).digest), path: "compact")
    }

    func explanation(_ step: ComputedStep) throws -> FileExplanation {
        try FileExplanation(parsing: blobs.get(try #require(step.outcome.quantization?.explanation).digest))
    }
}
