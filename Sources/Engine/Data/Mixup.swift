import Tensors

/// Mixes each sample of a batch with the one at the mirrored place (Zhang et al. 2018): x = λx + (1 − λ)x', and the
/// targets alike, λ from Beta(alpha, alpha) for each sample. Batches are shuffled, so the mirrored place is as random as
/// any; with it, what a batch looks like depends on its samples, seed and epoch alone.
struct Mixup {
    let alpha: Double

    /// λ of each sample.
    func weights(_ samples: [Int], seed: AugmentationSeed) -> [Float] {
        samples.map { sample in
            var generator = seed.generator("mixup", sample: sample)
            return Float(Dirichlet.sample(alpha: alpha, count: 2, using: &generator)[0])
        }
    }

    /// A float32 batch `[n] + any` mixed.
    static func mix(_ tensor: Tensor, weights: [Float]) -> Tensor {
        let count = weights.count
        guard count > 0 else { return tensor }
        let size = tensor.elementCount / count
        return tensor.withElements(as: Float.self) { source in
            Tensor(float32: tensor.shape) { target in
                for (row, weight) in weights.enumerated() {
                    let (own, other) = (row * size, (count - 1 - row) * size)
                    for index in 0..<size {
                        target.initializeElement(
                            at: own + index,
                            to: weight * source[own + index] + (1 - weight) * source[other + index])
                    }
                }
            }
        }
    }

    /// Classes as probabilities: float32 `[n, classCount]`, 1 at the label. Precondition: labels are below `classCount`.
    static func probabilities(_ labels: [Int64], classCount: Int) -> Tensor {
        guard let shape = try? Shape([labels.count, classCount]) else {
            preconditionFailure("\(labels.count) samples of \(classCount) classes")
        }
        var tensor = Tensor(zeros: shape)
        tensor.withMutableElements(as: Float.self) { elements in
            for (row, label) in labels.enumerated() { elements[row * classCount + Int(label)] = 1 }
        }
        return tensor
    }
}
