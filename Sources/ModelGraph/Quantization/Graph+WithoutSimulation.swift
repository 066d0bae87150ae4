import Tensors

// What is left of a graph that simulates quantization when the simulation is taken away.
extension Graph {
    /// The plain graph, its weights rounded to the values that training saw, and how its values are to be quantized.
    public func withoutSimulatedQuantization() -> (graph: Graph, quantization: SimulatedQuantization) {
        guard simulatesQuantization else { return (self, SimulatedQuantization()) }
        var (graph, quantization) = withoutSimulation()
        for weight in simulatedWeights {
            quantization.weightBits[weight.name] = weight.bits
            guard let tensor = graph.initializers[weight.name] else { continue }
            graph.initializers[weight.name] = weight.rounded(tensor)
        }
        return (graph, quantization)
    }

    /// The plain graph with weights as the optimizer has them.
    public func withUnroundedWeights() -> Graph { simulatesQuantization ? withoutSimulation().graph : self }

    /// The weights that training sees rounded, with the steps that rounding uses: positive and finite. In the order of the nodes.
    public var simulatedWeights: [SimulatedWeight] {
        nodes.compactMap { node in
            guard node.isFakeQuantization, node.inputs.count == 2, let tensor = initializers[node.inputs[0]],
                tensor.elementType == .float32, let steps = initializers[node.inputs[1]], steps.elementType == .float32,
                let bits = node.symmetricBits
            else { return nil }
            let axis = node.int("axis").map { Int(clamping: $0) }
            let count = axis.map { tensor.shape.dimensions.indices.contains($0) ? tensor.shape[$0] : 0 } ?? 1
            guard count == steps.elementCount else { return nil }
            return SimulatedWeight(
                name: node.inputs[0], axis: axis, bits: bits,
                steps: steps.floats.map(SimulatedQuantization.usable))
        }
    }

    private func withoutSimulation() -> (graph: Graph, quantization: SimulatedQuantization) {
        var graph = self
        var quantization = SimulatedQuantization()
        var replaced: [String: String] = [:]
        for node in nodes where node.isFakeQuantization {
            guard let source = node.inputs.first, let target = node.outputs.first else { continue }
            guard initializers[source] == nil else {
                replaced[target] = source
                continue
            }
            let isInput = inputs.contains { $0.name == source }
            quantization.activations[isInput ? source : target] = node.activationQuantization(initializers)
            if isInput { replaced[target] = source } else { replaced[source] = target }
        }
        graph.nodes = nodes.filter { !$0.isFakeQuantization }.map { node in
            var node = node
            node.inputs = node.inputs.map { replaced[$0] ?? $0 }
            node.outputs = node.outputs.map { replaced[$0] ?? $0 }
            return node
        }
        graph.dropUnusedInitializers()
        return (graph, quantization)
    }
}

extension SimulatedQuantization {
    /// Steps stop here: training may push one to 0 and past it.
    public static let smallestStep: Float = 1e-12

    /// A step that a file or training gave, as the rounding uses it: positive and finite.
    static func usable(_ step: Float) -> Float { step.isFinite ? max(step.magnitude, smallestStep) : 1 }
}

extension SimulatedWeight {
    /// The codes of a weight of the same shape: round(w / step) within the bits, ties to even; what is not finite is 0.
    /// Precondition: one step, or one for each place of the axis.
    public func codes(_ tensor: Tensor) -> [Int8] {
        let places = stepPlaces(tensor.shape)
        let high = Float(1 << (bits - 1) - 1)
        return tensor.floats.enumerated().map { index, value in
            let code = (value / steps[places(index)]).rounded(.toNearestOrEven)
            return code.isNaN ? 0 : Int8(min(max(code, -high), high))
        }
    }

    /// Each number as the step times its code.
    func rounded(_ tensor: Tensor) -> Tensor {
        let places = stepPlaces(tensor.shape)
        let values = codes(tensor).enumerated().map { steps[places($0.offset)] * Float($0.element) }
        return Tensor(values, shape: tensor.shape)
    }

    /// Which step an element has.
    private func stepPlaces(_ shape: Shape) -> (Int) -> Int {
        guard let axis else { return { _ in 0 } }
        let inner = max(1, shape.dimensions[(axis + 1)...].reduce(1, *))
        let extent = shape[axis]
        return { $0 / inner % extent }
    }
}

extension Node {
    /// The bits of codes that are symmetric around 0, or nil for others.
    fileprivate var symmetricBits: Int? {
        guard let low = int("low"), let high = int("high"), int("zero_point") ?? 0 == 0, (1...127).contains(high),
            low == -high, (high + 1) & high == 0
        else { return nil }
        return high.bitWidth - high.leadingZeroBitCount + 1
    }

    /// What rounding of a value says of it, brought within what integers can hold.
    fileprivate func activationQuantization(_ initializers: NamedTensors) -> ActivationQuantization {
        let storage: ActivationQuantization.Storage = int("low") ?? 0 < 0 ? .int8 : .uint8
        let zeroPoint = Int32(clamping: int("zero_point") ?? 0)
        let step = inputs.count > 1 ? initializers[inputs[1]] : nil
        let first = step.flatMap { $0.elementType == .float32 ? $0.floats.first : nil } ?? 1
        return ActivationQuantization(
            scale: SimulatedQuantization.usable(first),
            zeroPoint: min(max(zeroPoint, storage.codes.lowerBound), storage.codes.upperBound), storage: storage)
    }
}
