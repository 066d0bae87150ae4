import Tensors

/// A few samples, ready for a step: what the model reads and what its output is compared with.
public struct Batch: Sendable, Equatable {
    /// By input name, each `[n] + sample shape`. A single tensor goes to a model's single input whatever its name.
    public var inputs: NamedTensors
    /// Int64 classes `[n]`, or `[n, d1, ...]` where each place has one; token ids `[n, length]`; or float32: probabilities of
    /// the output's shape, or values `[n, ...]` of any rank. Integers of -100 are not counted (`Loss.defaultIgnoreIndex`).
    public var targets: Tensor

    public init(inputs: NamedTensors, targets: Tensor) {
        self.inputs = inputs
        self.targets = targets
    }

    /// For a model with one input.
    public init(_ input: Tensor, targets: Tensor) {
        self.init(inputs: NamedTensors([("x", input)]), targets: targets)
    }

    public var sampleCount: Int { targets.shape.rank > 0 ? targets.shape[0] : 0 }
}
