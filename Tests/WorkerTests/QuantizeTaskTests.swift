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

@testable import Worker

/// What workers measure for a quantized file, and what training does to batch norms' statistics.
struct QuantizeTaskTests {
    /// A worker with a small network that has batch norms.
    private final class Bench {
        let folder: String
        let blobs: BlobStore
        let runner: TaskRunner
        let graph: Graph
        let reference: SnapshotReference

        init() throws {
            folder = FileManager.default.temporaryDirectory.appendingPathComponent("measured-\(UUID().uuidString)").path
            blobs = try BlobStore(directory: folder)
            runner = TaskRunner(
                blobs: blobs,
                data: try WorkerData(spec: DataSpec(parsing: "synthetic:digits?samples=90", environment: [:])))
            graph = try ModelBuilder.build(
                architecture: "resnet20", inputShape: [1, 28, 28], classes: 10, width: 2, seed: 3)
            reference = try blobs.opening(graph)
        }

        deinit { try? FileManager.default.removeItem(atPath: folder) }

        func run(_ work: TaskWork) throws -> Submission {
            let offer = TaskOffer(
                round: 0, leaseSeconds: 10, seed: 5, snapshot: reference,
                scheme: WireScheme(values: .float32, smallValues: .float32), acceptedRounds: 0, work: work)
            return try runner.run(offer, residual: nil, progress: { _ in }, isCancelled: { false }).submission
        }

        func bytes(_ submission: Submission) throws -> [UInt8] {
            try blobs.get(try #require(submission.blob).digest)
        }

        /// What a training task moved, by parameter.
        func change(_ recipe: TrainingRecipe) throws -> NamedTensors {
            let submission = try run(.train(recipe, teacher: nil))
            let layout = TensorLayout(graph.parameters.map { ($0.name, $0.shape) })
            return try UpdateReader(bytes(submission), layout: layout).decode()
        }
    }

    private static let scope = QuantizationScope(target: .x86)

    private static func moved(_ change: NamedTensors, _ names: [String]) -> [String] {
        names.filter { (change[$0]?.floats ?? []).contains { $0 != 0 } }
    }

    @Test func frozenStatisticsStayWhereWeightsMove() throws {
        let bench = try Bench()
        let statistics = bench.graph.statisticNames.sorted()
        #expect(!statistics.isEmpty)
        let frozen = try bench.change(TrainingRecipe(epochs: 0.5, batch: 15, statistics: .frozen))
        #expect(Self.moved(frozen, statistics).isEmpty)
        #expect(Self.moved(frozen, bench.graph.trainableNames.sorted()).count > 10)
        let learned = try bench.change(TrainingRecipe(epochs: 0.5, batch: 15))
        #expect(Self.moved(learned, statistics).count == statistics.count)
    }

    @Test func statisticsAreMeasuredAnewAndNothingElseMoves() throws {
        let bench = try Bench()
        // Two passes are asked for; one is made.
        let change = try bench.change(TrainingRecipe(epochs: 2, batch: 30, statistics: .reestimated))
        #expect(Self.moved(change, bench.graph.trainableNames.sorted()).isEmpty)
        #expect(Self.moved(change, bench.graph.statisticNames.sorted()).count == bench.graph.statisticNames.count)
        let meter = try StatisticsMeter(bench.graph)
        let batches = BatchPlan(count: 90, batch: 30, epochs: 1, seed: 5).batches
        let loader = BatchLoader(
            bench.runner.data.training, plan: batches, seed: 5, classes: try bench.graph.outputExtent())
        while let loaded = try loader.next() { try meter.add(loaded.batch) }
        let pair = try #require(bench.graph.batchStatistics.first)
        let expected = try meter.parameters().require(pair.mean).floats
        let before = try bench.graph.initializers.require(pair.mean).floats
        for (index, moved) in try change.require(pair.mean).floats.enumerated() {
            #expect(abs(before[index] + moved - expected[index]) < 1e-4)
        }
    }

    @Test func whatIsMeasuredFollowsTheScope() throws {
        let bench = try Bench()
        for scope in [
            Self.scope, QuantizationScope(target: .arm, excluded: ["conv1.weight"]),
            QuantizationScope(target: .x86, equalizes: true, excluded: ["gone.weight"]),
        ] {
            let quantizer = try ModelQuantizer(bench.graph, scope)
            let calibrated = try bench.run(.calibrate(samples: 50, scope))
            let set = try CalibrationSet(parsing: bench.bytes(calibrated), expecting: quantizer.points)
            #expect(set.histograms.allSatisfy { $0.count > 0 } && calibrated.metrics.samples == 50)
            let moments = try bench.run(.inputMoments(samples: 50, scope))
            _ = try MomentSet(parsing: bench.bytes(moments), expecting: quantizer.momentLayout.moments)
            #expect(moments.metrics.samples == 90, "a shard counts by its size")
            let request = SensitivityRequest(samples: 10, scope: scope, weights: WeightRules(), bits: [2, 8])
            let table = try SensitivityBlob.parse(bench.bytes(bench.run(.sensitivity(request))), path: "table")
            #expect(table.layers == quantizer.layers.map(\.name) && table.bits == [2, 8])
        }
        let statistic = try #require(bench.graph.batchStatistics.first).mean
        #expect(throws: (any Error).self) {
            _ = try bench.run(.calibrate(samples: 50, QuantizationScope(target: .x86, excluded: [statistic])))
        }
    }

    @Test func theFileItselfIsEvaluatedAndCompared() throws {
        let bench = try Bench()
        let quantizer = try ModelQuantizer(bench.graph, Self.scope)
        let file = try quantizer.quantize(quantizer.rehearsalEvidence()).graph
        let bytes = file.serialized()
        let compact = BlobReference(digest: try bench.blobs.put(bytes), byteCount: bytes.count)
        let evaluated = try bench.run(.evaluate(samples: nil, compact: compact))
        #expect(evaluated.metrics.measured > 0 && evaluated.blob == nil)
        let compared = try bench.run(.compare(samples: 20, Self.scope, compact: compact))
        let sums = try ComparisonSums(
            parsing: bench.bytes(compared), expecting: quantizer.layers.map(\.name))
        #expect(sums.outputs == 20 && sums.agreements.contains { $0.reference > 0 })
    }

    /// A file from the network: whatever is in it, the task ends with a reason.
    @Test func hostileFilesFailTheTask() throws {
        let bench = try Bench()
        var skeleton = bench.graph
        skeleton.outputs = []
        let files: [[UInt8]] = [
            [], Array("no model".utf8), bench.graph.serializedSkeleton(), Array(bench.graph.serialized().dropLast(40)),
            skeleton.serialized(),
        ]
        for bytes in files {
            let compact = BlobReference(digest: try bench.blobs.put(bytes), byteCount: bytes.count)
            #expect(throws: (any Error).self) { _ = try bench.run(.evaluate(samples: 10, compact: compact)) }
            #expect(throws: (any Error).self) {
                _ = try bench.run(.compare(samples: 10, Self.scope, compact: compact))
            }
        }
    }
}
