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

/// A weight that training sees rounded.
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
}
