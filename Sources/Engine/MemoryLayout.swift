import ModelGraph
import Tensors

extension Graph {
    /// Whether convolutions run with the channels of a pixel lying together (NHWC in memory; shapes stay NCHW). Measured
    /// with libtorch 1.13: a step of resnet20 takes 25 % less time and 15 % less memory, one of a small network on grey
    /// images 10 % more, as a vector of channels is then mostly empty in the first layer.
    var prefersChannelsLast: Bool {
        nodes.allSatisfy { node in
            guard node.operatorType == "Conv", node.inputs.count > 1, let weight = initializers[node.inputs[1]],
                weight.shape.rank > 1
            else { return true }
            return weight.shape[1] * Int(node.int("group") ?? 1) >= 3
        }
    }
}
