import ModelGraph
import Tensors

// Quantization-aware training: the training graph with deployment's rounding in it, and the file that has exactly the lattice that
// training saw.

extension ModelQuantizer {
    /// Why training cannot simulate these settings, and the mend; nil where it can.
    public var simulationObjection: String? { settings.simulationObjection }

    /// The training graph with rounding behind each weight and value that the file quantizes. Batch norms stay; weights have the
    /// bits that the settings and the evidence give them, in steps of least squared error, and values the ranges of calibration.
    ///
    /// `ModelQuantizer(_:settings:)` of it, trained, writes a file of the same numbers up to float rounding, but for: biases and
    /// constants of sums, which are rounded there only; values whose range training has moved past the Relu or Clip that the runtime
    /// fuses; and `tensorrt`, where some readers of a value take it unrounded.
    /// - Parameter graph: the same that the quantizer was made of, not for inference yet.
    /// - Throws: `CompressionError.valueOutOfRange` with `simulationObjection`, and for weights that are not finite;
    ///   `ModelError.invalidRequest` for a graph that simulates already; as `quantize` for evidence that is missing and budgets.
    public func simulating(_ graph: Graph, _ evidence: QuantizationEvidence) throws -> Graph {
        if let simulationObjection { throw CompressionError.valueOutOfRange(simulationObjection) }
        let (_, origins) = graph.foldingWithOrigins()
        let bits = try askedBits(evidence).bits
        // A weight that became several has one rounding in training.
        var order: [String] = []
        var wanted: [String: (bits: Int, axis: Int?)] = [:]
        for layer in layers {
            guard let own = bits[layer.name] else { continue }
            let origin = origins[layer.name]
            let source = origin?.source ?? layer.name
            let axis = origin?.isTransposed ?? false ? 1 - layer.axis : layer.axis
            let shared: Int? = settings.weights.granularity == .tensor ? nil : axis
            if let known = wanted[source] {
                wanted[source] = (max(known.bits, own), known.axis == shared ? shared : nil)
            } else {
                order.append(source)
                wanted[source] = (own, shared)
            }
        }
        var weights: [SimulatedWeight] = []
        for name in order {
            guard let (bits, axis) = wanted[name], let tensor = graph.initializers[name] else { continue }
            weights.append(try simulated(name, tensor, bits: bits, axis: axis))
        }
        let integers = Set(bits.keys)
        let activations = try activations(evidence.calibration, quantizing: integers)
        return try graph.simulatingQuantization(
            weights: weights,
            activations: points(quantizing: integers).compactMap { name in activations[name].map { (name, $0) } })
    }

    private func simulated(
        _ name: String, _ tensor: Tensor, bits: Int, axis: Int?
    ) throws(CompressionError) -> SimulatedWeight {
        let scheme = WeightScheme(bits: bits, granularity: axis == nil ? .tensor : .channel, range: .leastSquares)
        let nearest = try WeightQuantizer.quantize(tensor, axis: axis ?? 0, scheme: scheme, name: name)
        guard let axis else {
            return SimulatedWeight(name: name, axis: nil, bits: bits, steps: Array(nearest.scales.prefix(1)))
        }
        return SimulatedWeight(name: name, axis: axis, bits: bits, steps: Self.livingSteps(nearest, axis))
    }

    /// Channels of zeros have no step of their own: they get the others' mean, so that what training makes of them has codes.
    private static func livingSteps(_ weight: QuantizedWeight, _ axis: Int) -> [Float] {
        var isAlive = [Bool](repeating: false, count: weight.scales.count)
        let inner = weight.values.shape.dimensions[(axis + 1)...].reduce(1, *)
        weight.values.withElements(as: Int8.self) { codes in
            for index in codes.indices where codes[index] != 0 { isAlive[index / inner % isAlive.count] = true }
        }
        let living = zip(weight.scales, isAlive).filter(\.1).map { Double($0.0) }
        guard !living.isEmpty else { return weight.scales }
        let mean = max(Float(living.reduce(0, +) / Double(living.count)), .leastNormalMagnitude)
        return zip(weight.scales, isAlive).map { $1 ? $0 : mean }
    }
}

extension QuantizationSettings {
    /// Why training cannot simulate these settings, and the mend; nil where it can.
    public var simulationObjection: String? {
        switch target {
        case .x86, .x86NoVNNI, .arm, .tensorrt, .int8Weights: break
        case .int4, .dynamic:
            return
                "training cannot simulate target '\(target.rawValue)', whose steps are chosen anew when it is written or run: "
                + "take another target, or no rounds"
        case .float32, .float16, .bfloat16:
            return "target '\(target.rawValue)' has no integer weights to train: take another target, or no rounds"
        }
        if weights.levels != .uniform { return "training can only simulate uniform levels: take these, or no rounds" }
        if !weights.isSymmetric { return "training can only simulate symmetric weights: take these, or no rounds" }
        if case .block = weights.granularity {
            return "training can only simulate scales of channels or tensors, not of blocks: take these, or no rounds"
        }
        if weights.hasPowerOfTwoScales || hasPowerOfTwoActivations {
            return "training moves scales away from powers of two: take any scales, or no rounds"
        }
        if equalizes {
            return "equalizing would undo the steps that are trained: leave it away, or take no rounds"
        }
        if rounding != .nearest {
            return "training decides how weights are rounded: take rounding 'nearest', or no rounds"
        }
        return nil
    }
}
