import ModelGraph
import Tensors

/// The gradients of gates: m = 1 multiplies a channel wherever a layer makes it, so ∂L/∂m = Σ w·∂L/∂w over the parameters
/// that make it. Exact where those are affine in what they read: a row of a kernel with its bias, or a normalisation's scale
/// and shift, which stand for the convolution before them. A head is gated at what it hands to the projection behind it
/// (Michel et al. 2019, eq. 2), whose columns are linear in it.
struct ChannelGates {
    private struct Part {
        let group: Int
        let slices: ChannelSlices
    }

    /// By parameter.
    private var parts: [String: [Part]] = [:]
    private let channels: [Int]
    /// ∂L/∂m in the batch at hand, by group.
    private var gates: [[Double]]

    /// - Throws: `CompressionError.groupMisfit` for a group of another graph or one without a gate.
    init(_ graph: Graph, groups: [ChannelGroup]) throws(CompressionError) {
        let trainable = Dictionary(
            uniqueKeysWithValues: graph.parameters.filter { $0.role == .trainable }.map { ($0.name, $0.shape) })
        let normalized = graph.parametersBeforeNormalization
        channels = groups.map(\.channels)
        gates = channels.map { [Double](repeating: 0, count: $0) }
        for (index, group) in groups.enumerated() {
            let side: ChannelMember.Side = group.kind == .heads ? .consumer : .producer
            var isGated = false
            for member in group.members where member.side == side && !normalized.contains(member.parameter) {
                guard let shape = trainable[member.parameter] else { continue }
                let slices = try ChannelSlices(member, of: group, shape: shape)
                parts[member.parameter, default: []].append(Part(group: index, slices: slices))
                isGated = true
            }
            guard isGated else {
                throw .groupMisfit(group: group.name, reason: "no trainable layer makes its channels")
            }
        }
    }

    /// Starts a batch.
    mutating func clear() {
        for index in gates.indices { gates[index] = [Double](repeating: 0, count: channels[index]) }
    }

    /// Adds a parameter's part. Precondition: both are of the parameter's shape.
    mutating func add(_ parameter: String, weight: Tensor, gradient: Tensor) {
        guard let parts = parts[parameter] else { return }
        weight.withElements(as: Float.self) { weight in
            gradient.withElements(as: Float.self) { gradient in
                for part in parts {
                    part.slices.add(into: &gates[part.group]) { Double(weight[$0]) * Double(gradient[$0]) }
                }
            }
        }
    }

    /// Adds the batch's squares to sums by group.
    func addSquares(to sums: inout [[Double]], weight: Double) {
        for (index, gates) in gates.enumerated() {
            for (channel, gate) in gates.enumerated() { sums[index][channel] += gate * gate * weight }
        }
    }
}

extension Graph {
    /// The weights and biases of layers whose output goes to nothing but a BatchNormalization: its scale and shift are the
    /// last to make the channel.
    fileprivate var parametersBeforeNormalization: Set<String> {
        var producers: [String: Node] = [:]
        var readers: [String: Int] = [:]
        for node in nodes {
            for output in node.outputs where !output.isEmpty { producers[output] = node }
            for input in node.inputs where !input.isEmpty { readers[input, default: 0] += 1 }
        }
        for output in outputs { readers[output.name, default: 0] += 1 }
        var names: Set<String> = []
        for node in nodes where node.operatorType == "BatchNormalization" && node.domain.isEmpty {
            guard let input = node.inputs.first, readers[input] == 1, var layer = producers[input] else { continue }
            if layer.operatorType == "Add" {
                // The bias of a MatMul.
                names.formUnion(layer.inputs.filter { initializers[$0] != nil })
                guard let product = layer.inputs.compactMap({ producers[$0] }).first else { continue }
                layer = product
            }
            guard ["Conv", "ConvTranspose", "Gemm", "MatMul"].contains(layer.operatorType) else { continue }
            names.formUnion(layer.inputs.filter { initializers[$0] != nil })
        }
        // A tied weight may also make channels that no normalisation follows.
        return names.filter { readers[$0] == 1 }
    }
}
