import Engine
import ModelGraph
import Tensors

/// What data say of a model that is to be quantized: sums over workers, or one machine's own.
public struct QuantizationEvidence: Sendable {
    /// Histograms of the values that the target quantizes ahead; nil where it quantizes none.
    public var calibration: CalibrationSet?
    /// What layers multiply, in the order of `ModelQuantizer.momentLayout`'s layers; empty where nothing was measured.
    public var moments: [InputMoments]
    /// For budgets.
    public var sensitivities: SensitivityTable?
    /// For a budget of milliseconds.
    public var times: LayerTimes?

    public init(
        calibration: CalibrationSet? = nil, moments: [InputMoments] = [], sensitivities: SensitivityTable? = nil,
        times: LayerTimes? = nil
    ) {
        (self.calibration, self.moments, self.sensitivities) = (calibration, moments, sensitivities)
        self.times = times
    }
}

/// One weight of a quantized model.
public struct QuantizedLayer: Sendable, Equatable {
    public let name: String
    public let bits: Int
    /// Elements.
    public let weights: Int
    /// How it was rounded.
    public let rounding: RoundingMethod
    /// Share of the outputs' variance that rounding the weight adds; nil where no moments say it.
    public let relativeError: Double?
    /// Whether its bias took back what rounding adds to the mean.
    public let isCorrected: Bool
    /// Whether training chose its codes and scales.
    public var isTrained = false
}

/// A quantized model and how it came about.
public struct QuantizedModel: Sendable {
    public var graph: Graph
    /// The graph for inference that it was made from, in float32: values have the same names.
    public var deployed: Graph
    public var layers: [QuantizedLayer]
    /// How values are quantized ahead, by name.
    public var activations: [String: ActivationQuantization]
    /// Of a budget: what could be had for how many bytes.
    public var front: [BitAllocation.Point]
    /// Pairs of layers whose channels were brought to one range.
    public var equalized: Int
    /// What layers have instead of what the settings gave them, as "conv1.weight: 8 bits instead of 3".
    public var givenUp: [String] = []
    /// Whether one more could be given up.
    public var canRetreat = false
}

/// Makes a quantized file of a model and of what its data say. The same graph, settings and evidence give the same bytes.
///
/// `deployed` is what evidence is about: the graph for inference, equalized if that is asked for. Of a graph that simulates
/// quantization it is the plain one, its weights as training saw them, and the file has exactly the codes and scales that were
/// trained wherever the settings are such as training can simulate (`simulating`).
public struct ModelQuantizer: Sendable {
    public let settings: QuantizationSettings
    public let deployed: Graph
    /// The weights that become integers, in the order of use.
    public let layers: [QuantizableLayer]
    let equalized: Int
    /// Of a graph that simulates what the settings ask for.
    let trained: TrainedLattice?

    /// - Parameter graph: as it is trained, or for inference.
    /// - Throws: `CompressionError.valueOutOfRange` for settings that are none, that the target or the opset cannot hold, or that
    ///   would undo what a graph simulates; for an excluded name that the graph has not; for a graph that is quantized already.
    public init(_ graph: Graph, settings: QuantizationSettings) throws(CompressionError) {
        try settings.validate()
        var settings = settings
        settings.weights.largestCode = settings.target.largestWeightCode
        self.settings = settings
        var (deployed, origins) = graph.foldingWithOrigins()
        var pairs = 0
        if settings.equalizes {
            let result = deployed.equalizingLayers()
            (deployed, pairs) = (result.graph, result.pairs.count)
        }
        try settings.check(deployed)
        self.deployed = deployed
        equalized = pairs
        let all = settings.target.hasIntegerWeights ? deployed.quantizableLayers(for: settings.target) : []
        let excluded = try Self.excluded(settings.excluded, all, deployed)
        layers = all.filter { !excluded.contains($0.name) }
        // Settings that training could not simulate ask for other codes than it saw.
        trained =
            graph.simulatesQuantization && settings.simulationObjection == nil
            ? TrainedLattice(graph, layers: layers, origins: origins, mostBits: WeightScheme(for: settings.target).bits)
            : nil
    }

    /// The weights behind names of weights and nodes.
    private static func excluded(
        _ names: [String], _ layers: [QuantizableLayer], _ graph: Graph
    ) throws(CompressionError) -> Set<String> {
        var found = Set<String>()
        for name in names {
            let matches = layers.filter { layer in layer.name == name || layer.nodeNames(graph).contains(name) }
            guard !matches.isEmpty else {
                let known = layers.map(\.name) + layers.flatMap { $0.nodeNames(graph) }
                throw .valueOutOfRange(
                    "'\(name)' cannot stay float: the model has no such weight or node that would become integers"
                        + NearestName.hint(for: name, in: known))
            }
            found.formUnion(matches.map(\.name))
        }
        return found
    }

    /// The values whose histograms are needed.
    public var points: [String] { points(quantizing: Set(layers.map(\.name))) }

    /// The moments that rounding and corrected biases can use.
    public var momentLayout: QuantizationMomentLayout {
        QuantizationMomentLayout(deployed, for: settings.target, weights: Set(layers.map(\.name)))
    }

    /// Whether moments would change the result.
    public var usesMoments: Bool {
        layers.contains { trained?.weights[$0.name] == nil }
            && (settings.rounding != .nearest || settings.correctsBiases)
    }

    /// Whether the result depends on how much each layer's bits matter.
    public var needsSensitivities: Bool { settings.amount != .same && !layers.isEmpty }

    /// The numbers of bits that sensitivities are needed for.
    public var candidates: [Int] {
        if case .milliseconds = settings.amount { [settings.weights.bits] } else { settings.candidates }
    }

    /// - Parameter retreat: how much is given up of what the settings ask for (`ModelQuantizer+Retreat`). Precondition: not negative.
    /// - Throws: `CompressionError` for evidence that is missing, weights that are not finite, a budget that cannot be met;
    ///   `ModelError.invalidRequest` for what the target cannot hold; `EngineError`.
    public func quantize(_ evidence: QuantizationEvidence, retreat: Int = 0) throws -> QuantizedModel {
        let moments = moments(evidence)
        let (asked, front) = try askedBits(evidence)
        guard let kept = try retreated(from: asked, by: retreat, evidence.sensitivities, moments) else {
            return try plainModel(front)
        }
        let taking = settings.correctsBiases ? deployed.layersTakingBiases(layers) : []
        let effort = AdaptiveCodes.effort(for: layers.filter { moments[$0.name] != nil })
        var graph = deployed
        var weights: [String: QuantizedWeight] = [:]
        var results: [QuantizedLayer] = []
        var shifts: [(layer: QuantizableLayer, shift: [Float])] = []
        for layer in layers {
            if let unrounded = trained?.unrounded.initializers[layer.name], kept.isGivenUp(layer.name) {
                graph.initializers[layer.name] = unrounded
            }
            guard let bits = kept.bits[layer.name] else { continue }
            if let weight = trained?.weights[layer.name], !kept.isGivenUp(layer.name) {
                weights[layer.name] = weight
                results.append(
                    QuantizedLayer(
                        name: layer.name, bits: bits, weights: layer.weights, rounding: .nearest, relativeError: nil,
                        isCorrected: false, isTrained: true))
                continue
            }
            let tensor = try graph.initializers.require(layer.name)
            var scheme = settings.weights.fitting(layer)
            scheme.bits = bits
            if kept.isGivenUp(layer.name) { scheme.levels = .uniform }
            let isCorrected = moments[layer.name] != nil && taking.contains(layer.name)
            let (rounded, quantized) = try quantize(
                layer, tensor, scheme, moments[layer.name], biasTakesMean: isCorrected, effort: effort)
            weights[layer.name] = quantized
            if isCorrected, let moments = moments[layer.name] {
                shifts.append(
                    (layer, BiasCorrection.shift(tensor, quantized: quantized, layer: layer, moments: moments)))
            }
            results.append(
                QuantizedLayer(
                    name: layer.name, bits: quantized.bits, weights: layer.weights,
                    rounding: rounded?.method ?? .nearest,
                    relativeError: rounded.map { $0.energy > 0 ? $0.loss / $0.energy : 0 },
                    isCorrected: isCorrected))
        }
        if !shifts.isEmpty { graph = graph.addingToBiases(shifts).graph }
        let activations = try activations(evidence.calibration, quantizing: Set(weights.keys))
        let written = try graph.quantized(
            for: settings.target, activations: activations, weights: weights, opset: opset,
            packsWeights: settings.packs)
        return QuantizedModel(
            graph: written, deployed: deployed, layers: results, activations: activations, front: front,
            equalized: equalized, givenUp: kept.givenUp, canRetreat: settings.target.hasIntegerWeights)
    }

    /// By layer. Those of the model before training say nothing of what was trained.
    private func moments(_ evidence: QuantizationEvidence) -> [String: InputMoments] {
        guard trained == nil else { return [:] }
        let layout = momentLayout
        precondition(
            evidence.moments.isEmpty || evidence.moments.count == layout.layers.count, "moments of other layers")
        var moments: [String: InputMoments] = [:]
        for (layer, found) in zip(layout.layers, evidence.moments) { moments[layer.name] = found }
        return moments
    }

    /// Of the file.
    public var opset: Int64 { settings.opset(for: deployed) }

    private func quantize(
        _ layer: QuantizableLayer, _ tensor: Tensor, _ scheme: WeightScheme, _ moments: InputMoments?,
        biasTakesMean: Bool, effort: Int
    ) throws -> (rounded: RoundedWeight?, weight: QuantizedWeight) {
        // What few codes cannot all cover is better clipped; with many it hardly matters.
        let importance = scheme.range == .leastSquares ? moments?.importance(of: layer, shape: tensor.shape) : nil
        let nearest = try WeightQuantizer.quantize(
            tensor, axis: layer.axis, scheme: scheme, name: layer.name, importance: importance)
        guard let moments else { return (nil, nearest) }
        let rounded = try Rounding.round(
            tensor, nearest: nearest, layer: layer, moments: moments, method: settings.rounding,
            biasTakesMean: biasTakesMean, effort: effort)
        return (rounded, rounded.weight)
    }

    /// How values are quantized where some weights are: ranges as the file has them.
    func activations(
        _ calibration: CalibrationSet?, quantizing weights: Set<String>
    ) throws(CompressionError) -> [String: ActivationQuantization] {
        var result: [String: ActivationQuantization] = [:]
        let storage = settings.target.activationStorage
        for name in points(quantizing: weights) {
            if let trained = trained?.activations[name], trained.storage == storage,
                settings.target != .tensorrt || trained.zeroPoint == 0
            {
                result[name] = trained
                continue
            }
            guard let histogram = calibration?[name], histogram.count > 0 else {
                throw .missingCalibration(tensor: name)
            }
            let range = histogram.range(settings.calibration)
            result[name] = ActivationQuantization(
                low: range.low, high: range.high, storage: storage, symmetric: settings.target == .tensorrt,
                powerOfTwo: settings.hasPowerOfTwoActivations)
        }
        return deployed.clampingRanges(of: result, for: settings.target, leavingFloat: floatWeights(besides: weights))
    }

    /// The values that are quantized ahead where some weights are integers.
    func points(quantizing weights: Set<String>) -> [String] {
        guard settings.target.needsCalibration else { return [] }
        return deployed.quantizationPoints(for: settings.target, leavingFloat: floatWeights(besides: weights))
    }

    /// The weights that the target could hold as integers, but for some.
    private func floatWeights(besides chosen: Set<String>) -> Set<String> {
        Set(deployed.quantizableWeights(for: settings.target).map(\.name)).subtracting(chosen)
    }
}

extension QuantizableLayer {
    /// The names of the nodes that multiply by it, in the graph that it was found in.
    func nodeNames(_ graph: Graph) -> [String] { nodes.map { graph.nodes[$0].name } }
}
