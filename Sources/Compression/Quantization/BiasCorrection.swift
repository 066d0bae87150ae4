import ModelGraph
import Tensors

/// What quantizing a weight adds to the mean of a layer's outputs, and its removal: b −= (Ŵ − W) E[x] (Nagel et al. 2019,
/// "Data-Free Quantization through Weight Equalization and Bias Correction", equation 17; E[x] is measured).
public enum BiasCorrection {
    /// What must be added to the bias of each output.
    /// Precondition: both weights and the moments are the layer's.
    public static func shift(
        _ tensor: Tensor, quantized: QuantizedWeight, layer: QuantizableLayer, moments: InputMoments
    ) -> [Float] {
        precondition(
            tensor.shape == quantized.values.shape && tensor.elementCount == layer.weights
                && moments.columns == layer.columns && moments.groups == layer.groups,
            "'\(layer.name)' is corrected with what belongs to another layer")
        let (before, after) = (tensor.floats, quantized.dequantized().floats)
        var shifts: [Float] = []
        for group in 0..<layer.groups {
            let mean = moments.mean(group: group)
            for row in 0..<layer.rows {
                var sum = 0.0
                for column in 0..<layer.columns {
                    let element = layer.element(group, row, column)
                    sum += (Double(after[element]) - Double(before[element])) * mean[column]
                }
                shifts.append(Float(-sum))
            }
        }
        return shifts
    }
}

extension Graph {
    /// The layers of which every node has a place for a bias: only there can biases take back what rounding adds to the means of
    /// outputs.
    public func layersTakingBiases(_ layers: [QuantizableLayer]) -> Set<String> {
        let readers = ValueReaders(self)
        let taking = layers.filter { layer in
            layer.nodes.allSatisfy { readers.biasPlace(of: $0, in: self, outputs: layer.groups * layer.rows) != nil }
        }
        return Set(taking.map(\.name))
    }

    /// The deployed graph with something added to the outputs of layers: to their biases, to new ones where they have none, or to
    /// the constant of the Add behind a MatMul.
    /// - Parameter shifts: for each output of a layer, by the layer.
    /// - Returns: the graph, and the weights that have no place for a bias.
    public func addingToBiases(
        _ shifts: [(layer: QuantizableLayer, shift: [Float])]
    ) -> (graph: Graph, leftOut: [String]) {
        var graph = self
        var leftOut: [String] = []
        let readers = ValueReaders(self)
        var taken = valueNames
        for (layer, shift) in shifts {
            for index in layer.nodes {
                guard let place = readers.biasPlace(of: index, in: self, outputs: shift.count) else {
                    if leftOut.last != layer.name { leftOut.append(layer.name) }
                    continue
                }
                let old = place.bias.flatMap { initializers[$0] }
                var values = old?.floats ?? Array(repeating: 0, count: shift.count)
                for output in shift.indices { values[output] += shift[output] }
                var name = place.bias ?? "\(layer.name).bias"
                if place.bias == nil || readers.count(name) > 1 {
                    // What others read too, and what exists, keeps its name.
                    name = Graph.uniqueName(place.bias.map { "\($0).corrected" } ?? name, taken: &taken)
                }
                guard let shape = old?.shape ?? (try? Shape([shift.count])) else { continue }
                graph.initializers[name] = Tensor(values, shape: shape)
                var inputs = graph.nodes[place.node].inputs
                while inputs.count <= place.input { inputs.append("") }
                inputs[place.input] = name
                graph.nodes[place.node].inputs = inputs
            }
        }
        return (graph, leftOut)
    }
}
