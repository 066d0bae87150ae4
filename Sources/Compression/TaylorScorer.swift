import Engine
import ModelGraph
import Tensors

/// On a worker: the mean over batches of w·g for every prunable weight (METHODS "sensitivity"; SNIP, Lee et al. 2019).
/// The coordinator folds these means by sample count and takes magnitudes. Owned by one thread.
public struct TaylorScorer: ~Copyable {
    private let trainer: Trainer
    private let weights: NamedTensors
    private var sums: [String: [Double]] = [:]
    private var samples = 0

    /// - Parameter masks: dead weights score 0, as their value is 0.
    public init(_ graph: Graph, masks: MaskSet) throws {
        trainer = try Trainer(graph, optimizer: OptimizerSettings(learningRate: 0), masks: masks)
        let parameters = graph.parameterTensors()
        weights = NamedTensors(graph.prunableNames.compactMap { name in parameters[name].map { (name, $0) } })
        for (name, tensor) in weights.ordered { sums[name] = [Double](repeating: 0, count: tensor.elementCount) }
    }

    /// Adds a batch; gradients are of the mean loss in evaluation mode, weighted by the batch's size.
    public mutating func add(_ inputs: Tensor, labels: Tensor) throws {
        let gradients = try trainer.gradients(inputs, labels: labels, training: false).gradients
        let size = Double(labels.elementCount)
        for name in weights.names {
            guard let gradient = gradients[name], let weight = weights[name] else { continue }
            weight.withElements(as: Float.self) { weight in
                gradient.withElements(as: Float.self) { gradient in
                    for index in weight.indices { sums[name]?[index] += Double(weight[index] * gradient[index]) * size }
                }
            }
        }
        samples += labels.elementCount
    }

    /// Mean of w·g per weight, float32, in the order of the graph's prunable weights.
    public func scores() throws(CompressionError) -> NamedTensors {
        guard samples > 0 else { throw .noData("scoring") }
        return NamedTensors(
            weights.ordered.map { name, tensor in
                (name, Tensor((sums[name] ?? []).map { Float($0 / Double(samples)) }, shape: tensor.shape))
            })
    }
}
