import Engine
import ModelGraph
import Tensors

/// On a worker: the mean over samples of w·g for every prunable weight (METHODS "sensitivity"; SNIP, Lee et al. 2019).
/// The coordinator folds these means by sample count and takes magnitudes. Owned by one thread.
public struct TaylorScorer: ~Copyable {
    private let trainer: Trainer
    private let weights: NamedTensors
    /// Sums of w·g·samples, in the order of `weights`.
    private var sums: [[Double]]
    private var samples = 0

    /// - Parameter masks: dead weights count as 0 and so score 0.
    public init(_ graph: Graph, masks: MaskSet) throws {
        trainer = try Trainer(graph, optimizer: OptimizerSettings(learningRate: 0), masks: masks)
        let parameters = graph.parameterTensors()
        var weights = NamedTensors(graph.prunableNames.compactMap { name in parameters[name].map { (name, $0) } })
        masks.apply(to: &weights)
        self.weights = weights
        sums = weights.ordered.map { [Double](repeating: 0, count: $0.tensor.elementCount) }
    }

    /// Adds a batch; gradients are of the mean loss in evaluation mode, weighted by the batch's counted labels.
    public mutating func add(_ inputs: Tensor, labels: Tensor) throws {
        let (result, _, gradients) = try trainer.gradients(inputs, labels: labels, training: false)
        // Without a counted label the mean loss means nothing.
        guard result.targets > 0 else { return }
        let size = Double(result.targets)
        for (position, (name, weight)) in weights.ordered.enumerated() {
            let gradient = try gradients.require(name)
            weight.withElements(as: Float.self) { weight in
                gradient.withElements(as: Float.self) { gradient in
                    sums[position].withUnsafeMutableBufferPointer { sums in
                        // The product of two floats is exact in double precision.
                        for index in weight.indices {
                            sums[index] += Double(weight[index]) * Double(gradient[index]) * size
                        }
                    }
                }
            }
        }
        samples += result.targets
    }

    /// Mean of w·g per weight, float32, in the order of the graph's prunable weights.
    public func scores() throws(CompressionError) -> NamedTensors {
        guard samples > 0 else { throw .noData("scoring") }
        return NamedTensors(
            zip(weights.ordered, sums).map { weight, sums in
                (weight.name, Tensor(sums.map { Float($0 / Double(samples)) }, shape: weight.tensor.shape))
            })
    }
}
