import Tensors

/// What became of a weight in a graph for inference.
public struct FoldedWeight: Sendable, Equatable {
    /// The weight's name in the graph that is trained.
    public let source: String
    /// Whether rows have become columns.
    public let isTransposed: Bool
    /// The axis of the output channels in the graph for inference, and what folding multiplied each of them by; nil where no
    /// normalization was folded in.
    public let axis: Int?
    public let factors: [Double]?
}

extension Graph {
    /// The graph for inference: Dropout and Identity removed, transposed weights stored transposed, spatial means as pools,
    /// and each BatchNormalization folded into the Conv or Gemm before it when nothing else reads that node's output. Scaling is per output channel, so pruned zeros stay zero.
    /// Structure depends on structure only, never on values: a skeleton folds to the same nodes and names.
    public func foldingBatchNormalization() -> Graph { foldingWithOrigins().graph }

    /// The graph for inference, and where those of its weights come from that are not the graph's own as they are.
    public func foldingWithOrigins() -> (graph: Graph, origins: [String: FoldedWeight]) {
        // What training simulates is for whoever writes the file; the weights are what it rounded them to.
        var (graph, origins) = withoutSimulatedQuantization().graph.removingPassThrough().foldingTransposedWeights()
        let consumers = graph.consumers
        let outputs = graph.outputNames
        let producers = graph.producers
        var taken = graph.valueNames
        var folded = Set<Int>()
        for (index, norm) in graph.nodes.enumerated() where norm.operatorType == "BatchNormalization" {
            guard norm.domain.isEmpty, norm.inputs.count == 5, norm.outputs.count == 1,
                let source = producers[norm.inputs[0]], consumers[norm.inputs[0]]?.count == 1,
                !outputs.contains(norm.inputs[0]), let affine = graph.affine(of: norm)
            else { continue }
            let layer = graph.nodes[source]
            guard let channelAxis = graph.foldableAxis(of: layer, channels: affine.scale.count) else { continue }
            let before = layer.inputs[1]
            graph.fold(affine, into: source, channelAxis: channelAxis, norm: norm, consumers: consumers, taken: &taken)
            let own = origins[before]
            origins[graph.nodes[source].inputs[1]] = FoldedWeight(
                source: own?.source ?? before, isTransposed: own?.isTransposed ?? false, axis: channelAxis,
                factors: affine.scale)
            graph.nodes[source].outputs[0] = norm.outputs[0]
            folded.insert(index)
        }
        graph.nodes = graph.nodes.indices.filter { !folded.contains($0) }.map { graph.nodes[$0] }
        graph.dropUnusedInitializers()
        return (graph.poolingSpatialMeans(), origins)
    }

    private struct Affine {
        var scale: [Double]
        var shift: [Double]
    }

    /// Per channel, y = scale x + shift: scale = gamma / sqrt(variance + epsilon), shift = beta - mean scale.
    private func affine(of norm: Node) -> Affine? {
        let tensors = norm.inputs[1...].compactMap { initializers[$0] }
        guard tensors.count == 4, tensors.allSatisfy({ $0.elementType == .float32 && $0.shape == tensors[0].shape }),
            tensors[0].shape.rank == 1
        else { return nil }
        let values = tensors.map { $0.floats.map(Double.init) }
        let epsilon = Double(norm.float("epsilon") ?? 1e-5)
        let scale = values[0].indices.map { values[0][$0] / (values[3][$0] + epsilon).squareRoot() }
        return Affine(scale: scale, shift: scale.indices.map { values[1][$0] - values[2][$0] * scale[$0] })
    }

    /// The axis of the weight that holds a layer's output channels, or nil when the layer cannot take a fold.
    private func foldableAxis(of layer: Node, channels: Int) -> Int? {
        guard layer.domain.isEmpty, layer.outputs.count == 1, layer.inputs.count >= 2,
            let weight = initializers[layer.inputs[1]], weight.elementType == .float32
        else { return nil }
        let axis: Int
        switch layer.operatorType {
        case "Conv" where weight.shape.rank >= 3: axis = 0
        case "Gemm" where weight.shape.rank == 2 && layer.float("alpha") ?? 1 == 1 && layer.float("beta") ?? 1 == 1:
            axis = layer.int("transB") ?? 0 != 0 ? 0 : 1
        default: return nil
        }
        guard weight.shape[axis] == channels else { return nil }
        if layer.inputs.count > 2, !layer.inputs[2].isEmpty {
            guard let bias = initializers[layer.inputs[2]], bias.elementType == .float32,
                bias.shape.dimensions == [channels]
            else { return nil }
        }
        return axis
    }

    private mutating func fold(
        _ affine: Affine, into index: Int, channelAxis: Int, norm: Node,
        consumers: [String: [(node: Int, input: Int)]], taken: inout Set<String>
    ) {
        let layer = nodes[index]
        // A tensor that others read keeps its value for them.
        func ownName(_ name: String, taken: inout Set<String>) -> String {
            (consumers[name]?.count ?? 0) > 1 ? Graph.uniqueName("\(name).folded", taken: &taken) : name
        }
        guard let weight = initializers[layer.inputs[1]] else { preconditionFailure("fold into '\(layer.name)'") }
        let inner = weight.shape.dimensions[(channelAxis + 1)...].reduce(1, *)
        var values = weight.floats
        for element in values.indices {
            let channel = element / inner % affine.scale.count
            values[element] = Float(Double(values[element]) * affine.scale[channel])
        }
        let weightName = ownName(layer.inputs[1], taken: &taken)
        initializers[weightName] = Tensor(values, shape: weight.shape)
        let hasBias = layer.inputs.count > 2 && !layer.inputs[2].isEmpty
        let old = hasBias ? initializers[layer.inputs[2]]?.floats : nil
        let shift = affine.shift.indices.map { Float(affine.shift[$0] + Double(old?[$0] ?? 0) * affine.scale[$0]) }
        // A layer without a bias takes over the normalisation's.
        let biasName = ownName(hasBias ? layer.inputs[2] : norm.inputs[2], taken: &taken)
        initializers[biasName] = Tensor(shift, shape: [affine.shift.count])
        nodes[index].inputs = [layer.inputs[0], weightName, biasName]
    }
}
