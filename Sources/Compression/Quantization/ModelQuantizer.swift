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
/// `deployed` is what evidence is about: the graph for inference, equalized if that is asked for.
public struct ModelQuantizer: Sendable {
    public let settings: QuantizationSettings
    public let deployed: Graph
    /// The weights that become integers, in the order of use.
    public let layers: [QuantizableLayer]
    private let equalized: Int

    /// - Parameter graph: as it is trained, or for inference.
    /// - Throws: `CompressionError.valueOutOfRange`; `.unknownName` for an excluded name that the graph has not.
    public init(_ graph: Graph, settings: QuantizationSettings) throws(CompressionError) {
        try settings.validate()
        self.settings = settings
        var deployed = graph.foldingBatchNormalization()
        var pairs = 0
        if settings.equalizes {
            let result = deployed.equalizingLayers()
            (deployed, pairs) = (result.graph, result.pairs.count)
        }
        self.deployed = deployed
        equalized = pairs
        let all = settings.target.hasIntegerWeights ? deployed.quantizableLayers(for: settings.target).layers : []
        let excluded = try Self.excluded(settings.excluded, all, deployed)
        layers = all.filter { !excluded.contains($0.name) }
    }

    /// The weights behind names of weights and nodes.
    private static func excluded(
        _ names: [String], _ layers: [QuantizableLayer], _ graph: Graph
    ) throws(CompressionError) -> Set<String> {
        var found = Set<String>()
        for name in names {
            let matches = layers.filter { layer in layer.name == name || layer.nodeNames(graph).contains(name) }
            guard !matches.isEmpty else {
                let known = layers.map(\.name)
                throw .unknownName(
                    name,
                    suggestion: NearestName.suggestion(for: name, in: known + layers.flatMap { $0.nodeNames(graph) }),
                    known: known)
            }
            found.formUnion(matches.map(\.name))
        }
        return found
    }

    /// The values whose histograms are needed.
    public var points: [String] {
        settings.target.needsCalibration ? deployed.quantizationPoints(for: settings.target) : []
    }

    /// The moments that rounding and corrected biases can use.
    public var momentLayout: QuantizationMomentLayout {
        QuantizationMomentLayout(deployed, for: settings.target, weights: Set(layers.map(\.name)))
    }

    /// Whether moments would change the result.
    public var usesMoments: Bool {
        !layers.isEmpty && (settings.rounding != .nearest || settings.correctsBiases)
    }

    /// Whether the result depends on how much each layer's bits matter.
    public var needsSensitivities: Bool { settings.amount != .same && !layers.isEmpty }

    /// The numbers of bits that sensitivities are needed for.
    public var candidates: [Int] {
        let most = WeightScheme(for: settings.target).bits
        return settings.candidates.filter { $0 <= most }
    }

    /// - Throws: `CompressionError` for evidence that is missing, weights that are not finite, a budget that cannot be met;
    ///   `ModelError.invalidRequest` for what the target cannot hold; `EngineError`.
    public func quantize(_ evidence: QuantizationEvidence, retreat: Int = 0) throws -> QuantizedModel {
        let (bits, front) = try bits(evidence.sensitivities)
        let layout = momentLayout
        precondition(
            evidence.moments.isEmpty || evidence.moments.count == layout.layers.count, "moments of other layers")
        var moments: [String: InputMoments] = [:]
        for (layer, found) in zip(layout.layers, evidence.moments) { moments[layer.name] = found }

        var graph = deployed
        var weights: [String: QuantizedWeight] = [:]
        var results: [QuantizedLayer] = []
        var shifts: [(layer: QuantizableLayer, shift: [Float])] = []
        for layer in layers {
            let tensor = try graph.initializers.require(layer.name)
            let (rounded, quantized) = try quantize(
                layer, tensor, bits: bits[layer.name] ?? settings.weights.bits, moments[layer.name])
            weights[layer.name] = quantized
            var isCorrected = false
            if settings.correctsBiases, let moments = moments[layer.name] {
                shifts.append(
                    (layer, BiasCorrection.shift(tensor, quantized: quantized, layer: layer, moments: moments)))
                isCorrected = true
            }
            results.append(
                QuantizedLayer(
                    name: layer.name, bits: quantized.bits, weights: layer.weights,
                    rounding: rounded?.method ?? .nearest,
                    relativeError: rounded.map { $0.energy > 0 ? $0.loss / $0.energy : 0 },
                    isCorrected: isCorrected))
        }
        if !shifts.isEmpty { graph = graph.addingToBiases(shifts).graph }
        let activations = try activations(evidence.calibration)
        let written = try graph.quantized(
            for: settings.target, activations: activations, weights: weights, opset: opset,
            packsWeights: settings.packs)
        return QuantizedModel(
            graph: written, deployed: deployed, layers: results, activations: activations, front: front,
            equalized: equalized)
    }

    /// Of the file.
    public var opset: Int64 { settings.opset ?? max(deployed.opset, settings.target.leastOpset, 17) }

    private func quantize(
        _ layer: QuantizableLayer, _ tensor: Tensor, bits: Int, _ moments: InputMoments?
    ) throws -> (rounded: RoundedWeight?, weight: QuantizedWeight) {
        var scheme = settings.weights.fitting(layer)
        scheme.bits = bits
        // What few codes cannot all cover is better clipped; with many it hardly matters.
        let importance = scheme.range == .leastSquares ? moments?.importance(of: layer, shape: tensor.shape) : nil
        let nearest = try WeightQuantizer.quantize(
            tensor, axis: layer.axis, scheme: scheme, name: layer.name, importance: importance)
        guard let moments else { return (nil, nearest) }
        let rounded = try Rounding.round(
            tensor, nearest: nearest, layer: layer, moments: moments, method: settings.rounding)
        return (rounded, rounded.weight)
    }

    private func activations(
        _ calibration: CalibrationSet?
    ) throws(CompressionError) -> [String: ActivationQuantization] {
        var result: [String: ActivationQuantization] = [:]
        let storage = settings.target.activationStorage
        for name in points {
            guard let histogram = calibration?[name], histogram.count > 0 else {
                throw .missingCalibration(tensor: name)
            }
            let range = histogram.range(settings.calibration)
            result[name] = ActivationQuantization(
                low: range.low, high: range.high, storage: storage, symmetric: settings.target == .tensorrt,
                powerOfTwo: settings.hasPowerOfTwoActivations)
        }
        return result
    }
}

extension QuantizableLayer {
    /// The names of the nodes that multiply by it, in the graph that it was found in.
    func nodeNames(_ graph: Graph) -> [String] { nodes.map { graph.nodes[$0].name } }
}
