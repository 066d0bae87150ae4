import ModelGraph
import Tensors

/// What training with simulated quantization has decided of a file: codes and scales of weights, and how values are rounded.
struct TrainedLattice: Sendable {
    /// By the layers' names.
    let weights: [String: QuantizedWeight]
    /// By value.
    let activations: [String: ActivationQuantization]
    /// The graph for inference with weights as the optimizer had them: what layers get that are given up.
    let unrounded: Graph

    /// - Parameters:
    ///   - graph: that simulates.
    ///   - layers: of its form for inference; `origins` says where their weights come from.
    ///   - mostBits: of the target's kernels; weights of more are left to be rounded again.
    init(_ graph: Graph, layers: [QuantizableLayer], origins: [String: FoldedWeight], mostBits: Int) {
        unrounded = graph.withUnroundedWeights().foldingBatchNormalization()
        activations = graph.withoutSimulatedQuantization().quantization.activations
        let simulated = Dictionary(
            graph.simulatedWeights.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
        var weights: [String: QuantizedWeight] = [:]
        for layer in layers {
            let origin = origins[layer.name]
            let source = origin?.source ?? layer.name
            guard let trained = simulated[source], let tensor = graph.initializers[source],
                trained.bits <= mostBits
            else { continue }
            weights[layer.name] = Self.weight(layer, origin, trained, tensor)
        }
        self.weights = weights
    }

    /// The codes that training saw, with each channel's step times what folding multiplied it by; nil where steps of another axis
    /// than the outputs' were trained, or are no numbers.
    private static func weight(
        _ layer: QuantizableLayer, _ origin: FoldedWeight?, _ trained: SimulatedWeight, _ tensor: Tensor
    ) -> QuantizedWeight? {
        let isTransposed = origin?.isTransposed ?? false
        let extents = isTransposed ? tensor.shape.dimensions.reversed() : tensor.shape.dimensions
        guard let shape = try? Shape(extents), shape.dimensions.indices.contains(layer.axis) else { return nil }
        let channels = shape[layer.axis]
        if let axis = trained.axis, (isTransposed ? shape.rank - 1 - axis : axis) != layer.axis { return nil }
        let factors = origin?.factors ?? Array(repeating: 1, count: channels)
        guard factors.count == channels, origin?.axis ?? layer.axis == layer.axis else { return nil }
        let scales = (0..<channels).map { channel in
            let step = Double(trained.steps[trained.axis == nil ? 0 : channel])
            return max(Float(step * factors[channel].magnitude), .leastNormalMagnitude)
        }
        guard factors.allSatisfy(\.isFinite), scales.allSatisfy(\.isFinite) else { return nil }
        var codes = trained.codes(tensor)
        if isTransposed {
            let (rows, columns) = (tensor.shape[0], tensor.shape[1])
            codes = (0..<columns).flatMap { column in (0..<rows).map { codes[$0 * columns + column] } }
        }
        let inner = shape.dimensions[(layer.axis + 1)...].reduce(1, *)
        for index in codes.indices {
            let factor = factors[index / inner % channels]
            // Codes are symmetric, so a negative factor turns them round; where nothing is left, they are 0.
            if factor < 0 { codes[index] = -codes[index] } else if factor == 0 { codes[index] = 0 }
        }
        return QuantizedWeight(
            values: Tensor(elements: codes, elementType: .int8, shape: shape), scales: scales, axis: layer.axis,
            bits: trained.bits)
    }
}
