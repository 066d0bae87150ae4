import Compression
import Engine
import Federation
import Ledger
import ModelGraph
import Shell
import Tensors

// What a quantized file is made from: histograms, second moments, what each layer's bits cost, and how far a file is from the
// float model. Sums over a shard; nothing of a single sample leaves the worker.

extension TaskRunner {
    func calibrate(
        _ model: LoadedModel, samples: Int, _ scope: QuantizationScope, seed: UInt64, pace: Pace
    ) throws -> (BlobReference?, Digest?, TaskMetrics) {
        let quantizer = try ModelQuantizer(model.graph, scope)
        let calibrator = try Calibrator(deployed: quantizer.deployed, points: quantizer.points)
        let damaged = try measure(
            quantizer.deployed, samples: quantizer.points.isEmpty ? 0 : samples, seed: seed, pace: pace
        ) { try calibrator.add($0) }
        return (
            try store(calibrator.result.serialized()), nil,
            TaskMetrics(samples: min(samples, data.training.count), damaged: damaged)
        )
    }

    func inputMoments(
        _ model: LoadedModel, samples: Int, _ scope: QuantizationScope, seed: UInt64, pace: Pace
    ) throws -> (BlobReference?, Digest?, TaskMetrics) {
        let quantizer = try ModelQuantizer(model.graph, scope)
        let moments = try QuantizationMoments(deployed: quantizer.deployed, layout: quantizer.momentLayout)
        let damaged = try measure(
            quantizer.deployed, samples: moments.layout.layers.isEmpty ? 0 : samples, seed: seed, pace: pace
        ) { try moments.add($0) }
        // A shard counts by its size, however many of its samples were looked at.
        return (
            try store(try moments.set().serialized()), nil,
            TaskMetrics(samples: data.training.count, damaged: damaged)
        )
    }

    func sensitivity(
        _ model: LoadedModel, _ request: SensitivityRequest, offer: TaskOffer, pace: Pace
    ) throws -> (BlobReference?, Digest?, TaskMetrics) {
        let quantizer = try ModelQuantizer(model.graph, request.scope)
        guard !quantizer.layers.isEmpty else {
            throw TaskFailure("the model has no weight that target '\(request.scope.target.rawValue)' quantizes")
        }
        let meter = try SensitivityMeter(
            deployed: quantizer.deployed, layers: quantizer.layers,
            scheme: WeightScheme(request.weights, target: quantizer.settings.target, hasBudget: true),
            bits: request.bits)
        let damaged = try measure(
            quantizer.deployed, samples: request.samples, seed: offer.seed, pace: pace
        ) { try meter.add($0, isCancelled: pace.isCancelled) }
        return (
            try store(SensitivityBlob.serialize(try meter.table())), nil,
            TaskMetrics(samples: data.training.count, damaged: damaged)
        )
    }

    func compare(
        _ model: LoadedModel, samples: Int, _ scope: QuantizationScope, compact: BlobReference, seed: UInt64,
        pace: Pace
    ) throws -> (BlobReference?, Digest?, TaskMetrics) {
        let quantizer = try ModelQuantizer(model.graph, scope)
        let comparison = try LayerComparison(
            deployed: quantizer.deployed, quantized: compactGraph(compact), layers: quantizer.layers)
        let damaged = try measure(
            quantizer.deployed, samples: quantizer.layers.isEmpty ? 0 : samples, seed: seed, pace: pace
        ) { try comparison.add($0) }
        return (
            try store(comparison.sums.serialized()), nil,
            TaskMetrics(samples: data.training.count, damaged: damaged)
        )
    }

    /// The coordinator's file, as a stranger's bytes.
    /// - Throws: `ModelError`; `TaskFailure` for a file that this engine cannot run.
    func compactGraph(_ blob: BlobReference) throws -> Graph {
        let graph = try Graph.load(
            blobs.get(blob.digest), path: "compact model \(blob.digest.short)", skeletonByteLimit: 0)
        try graph.validateOperators(supported: SupportedOperators.table)
        return graph
    }

    /// One pass over so many samples of the shard, or none.
    /// - Returns: how many are damaged and were left out.
    private func measure(
        _ graph: Graph, samples: Int, seed: UInt64, pace: Pace, _ body: (Tensor) throws -> Void
    ) throws -> Int {
        guard samples > 0 else { return 0 }
        try data.training.checkFits(graph)
        let order = Array(Dataset.shuffledOrder(count: data.training.count, seed: seed).prefix(samples))
        let size = data.training.measuringBatch(for: graph)
        return try visit(data.training, order, batch: size, pace: pace) { batch in try body(batch.onlyInput()) }
    }
}

extension Batch {
    /// For models with one input.
    fileprivate func onlyInput() throws -> Tensor {
        guard inputs.names.count == 1, let input = inputs.ordered.first?.tensor else {
            throw TaskFailure("quantization is measured on models with one input, not \(inputs.names.count)")
        }
        return input
    }
}
