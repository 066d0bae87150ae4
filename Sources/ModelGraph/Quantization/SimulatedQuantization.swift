import Tensors

// Quantization-aware training: nodes that round as deployment will, behind weights and values, with steps that training
// changes. They live in snapshots and never in an export.

/// What a graph's simulated quantization says of its values and weights.
public struct SimulatedQuantization: Sendable, Equatable {
    /// Domain of the nodes.
    public static let domain = "pleach"
    /// FakeQuantize(x, step) = step (clamp(round(x / step) + zero_point, low, high) - zero_point); the step is one number, or
    /// one for each place of `axis`. Its gradient is that of LSQ (Esser et al. 2020, equations 3 and 5; the step's is scaled by
    /// 1 / sqrt(N high), N being the numbers that share it).
    public static let operatorType = "FakeQuantize"

    /// Bits of each weight, by name.
    public var weightBits: [String: Int]
    /// By value.
    public var activations: [String: ActivationQuantization]

    public init(weightBits: [String: Int] = [:], activations: [String: ActivationQuantization] = [:]) {
        (self.weightBits, self.activations) = (weightBits, activations)
    }
}

/// A weight that training is to see rounded.
public struct SimulatedWeight: Sendable, Equatable {
    public let name: String
    /// Of the channels that have steps of their own; nil where all share one.
    public let axis: Int?
    /// 2 to 8; codes are symmetric.
    public let bits: Int
    /// Positive: one a channel, or one.
    public let steps: [Float]

    public init(name: String, axis: Int?, bits: Int, steps: [Float]) {
        (self.name, self.axis, self.bits, self.steps) = (name, axis, bits, steps)
    }
}

extension Node {
    /// Whether the node simulates quantization.
    public var isFakeQuantization: Bool {
        domain == SimulatedQuantization.domain && operatorType == SimulatedQuantization.operatorType
    }

    fileprivate static func fakeQuantization(
        of source: String, step: String, to target: String, codes: ClosedRange<Int32>, zeroPoint: Int32, axis: Int?
    ) -> Node {
        var attributes: [String: AttributeValue] = [
            "low": .int(Int64(codes.lowerBound)), "high": .int(Int64(codes.upperBound)),
            "zero_point": .int(Int64(zeroPoint)),
        ]
        if let axis { attributes["axis"] = .int(Int64(axis)) }
        return Node(
            name: "\(step).simulate", operatorType: SimulatedQuantization.operatorType,
            domain: SimulatedQuantization.domain, inputs: [source, step], outputs: [target], attributes: attributes)
    }
}

extension Graph {
    /// Whether some of its values are rounded as deployment will round them.
    public var simulatesQuantization: Bool { nodes.contains(where: \.isFakeQuantization) }

    /// The steps' names: weight decay is not for them.
    public var simulationSteps: Set<String> {
        Set(nodes.lazy.filter(\.isFakeQuantization).compactMap { $0.inputs.dropFirst().first })
    }

    /// The graph with weights and values rounded in training. Steps become parameters named `NAME.step`; values keep their
    /// names behind the rounding. Names that the graph has not are left out: whatever a folded form calls otherwise.
    /// - Throws: `ModelError.invalidRequest` for a graph that simulates already, and for steps that do not fit.
    public func simulatingQuantization(
        weights: [SimulatedWeight], activations: [(value: String, quantization: ActivationQuantization)]
    ) throws(ModelError) -> Graph {
        guard !simulatesQuantization else { throw .invalidRequest("the model simulates quantization already") }
        var graph = self
        var taken = valueNames
        var simulated: [String: String] = [:]
        var weightNodes: [Node] = []
        for weight in weights {
            guard let tensor = initializers[weight.name], tensor.elementType == .float32 else { continue }
            let count = weight.axis.map { tensor.shape.dimensions.indices.contains($0) ? tensor.shape[$0] : 0 } ?? 1
            guard count == weight.steps.count, (2...8).contains(weight.bits),
                weight.steps.allSatisfy({ $0.isFinite && $0 >= .leastNormalMagnitude })
            else {
                throw .invalidRequest("the steps of weight '\(weight.name)' do not fit its shape \(tensor.shape)")
            }
            let step = Graph.uniqueName("\(weight.name).step", taken: &taken)
            let rounded = Graph.uniqueName("\(weight.name).rounded", taken: &taken)
            graph.initializers[step] = Tensor(weight.steps, shape: [weight.steps.count])
            let high = Int32(1) << Int32(weight.bits - 1) - 1
            weightNodes.append(
                .fakeQuantization(
                    of: weight.name, step: step, to: rounded, codes: -high...high, zeroPoint: 0, axis: weight.axis))
            simulated[weight.name] = rounded
        }
        for index in graph.nodes.indices {
            graph.nodes[index].inputs = graph.nodes[index].inputs.map { simulated[$0] ?? $0 }
        }
        graph.nodes.insert(contentsOf: weightNodes, at: 0)
        for (value, quantization) in activations {
            graph.simulate(value, quantization, taken: &taken)
        }
        return graph
    }

    private mutating func simulate(
        _ value: String, _ quantization: ActivationQuantization, taken: inout Set<String>
    ) {
        let isInput = inputs.contains { $0.name == value }
        guard isInput || producers[value] != nil else { return }
        let step = Graph.uniqueName("\(value).step", taken: &taken)
        initializers[step] = Tensor([quantization.scale], shape: [1])
        func node(from source: String, to target: String) -> Node {
            .fakeQuantization(
                of: source, step: step, to: target, codes: quantization.storage.codes,
                zeroPoint: quantization.zeroPoint, axis: nil)
        }
        if isInput {
            let rounded = Graph.uniqueName("\(value).rounded", taken: &taken)
            for index in nodes.indices { nodes[index].inputs = nodes[index].inputs.map { $0 == value ? rounded : $0 } }
            nodes.insert(node(from: value, to: rounded), at: 0)
        } else if let producer = producers[value] {
            let raw = Graph.uniqueName("\(value).exact", taken: &taken)
            nodes[producer].outputs = nodes[producer].outputs.map { $0 == value ? raw : $0 }
            nodes.insert(node(from: raw, to: value), at: producer + 1)
        }
    }

    /// The plain graph, its weights rounded to the values that training saw, and how its values are to be quantized.
    public func withoutSimulatedQuantization() -> (graph: Graph, quantization: SimulatedQuantization) {
        guard simulatesQuantization else { return (self, SimulatedQuantization()) }
        var graph = self
        var quantization = SimulatedQuantization()
        var replaced: [String: String] = [:]
        for node in nodes where node.isFakeQuantization {
            guard let source = node.inputs.first, let target = node.outputs.first, node.inputs.count == 2,
                let steps = initializers[node.inputs[1]]
            else { continue }
            let codes =
                Int32(
                    clamping: node.int("low") ?? 0)...max(
                    Int32(clamping: node.int("low") ?? 0), Int32(clamping: node.int("high") ?? 0))
            if let weight = initializers[source] {
                quantization.weightBits[source] = 32 - Int32(codes.upperBound).leadingZeroBitCount + 1
                graph.initializers[source] = weight.rounded(
                    steps: steps.floats, axis: node.int("axis").map(Int.init), codes: codes)
                replaced[target] = source
                continue
            }
            let storage: ActivationQuantization.Storage = codes.lowerBound < 0 ? .int8 : .uint8
            let zeroPoint = Int32(clamping: node.int("zero_point") ?? 0)
            let step = steps.floats.first.map { Self.usable($0) } ?? 1
            let activation = ActivationQuantization(
                scale: step, zeroPoint: min(max(zeroPoint, storage.codes.lowerBound), storage.codes.upperBound),
                storage: storage)
            let isInput = inputs.contains { $0.name == source }
            quantization.activations[isInput ? source : target] = activation
            if isInput {
                replaced[target] = source
            } else {
                replaced[source] = target
            }
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

    /// A step that a file or training gave, as the rounding uses it: positive and finite.
    fileprivate static func usable(_ step: Float) -> Float {
        step.isFinite ? max(step.magnitude, SimulatedQuantization.smallestStep) : 1
    }
}

extension SimulatedQuantization {
    /// Steps stop here: training may push one to 0 and past it.
    public static let smallestStep: Float = 1e-12
}

extension Tensor {
    /// Each number rounded to a multiple of its channel's step.
    fileprivate func rounded(steps: [Float], axis: Int?, codes: ClosedRange<Int32>) -> Tensor {
        let axis = axis.flatMap { shape.dimensions.indices.contains($0) && shape[$0] == steps.count ? $0 : nil }
        guard !steps.isEmpty, axis != nil || steps.count == 1 else { return self }
        let inner = axis.map { shape.dimensions[($0 + 1)...].reduce(1, *) } ?? max(1, elementCount)
        let (low, high) = (Float(codes.lowerBound), Float(codes.upperBound))
        let usable = steps.map(Graph.usable)
        var values = floats
        for index in values.indices {
            let step = usable[index / inner % usable.count]
            values[index] = step * min(max((values[index] / step).rounded(.toNearestOrEven), low), high)
        }
        return Tensor(values, shape: shape)
    }
}
