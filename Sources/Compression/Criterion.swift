import Tensors

/// Importance of each weight, at least 0: what is ranked to decide a mask.
public enum Criterion {
    /// |w| (Han et al. 2015).
    public static func magnitude(_ weights: NamedTensors) -> NamedTensors { absolute(weights) }

    /// |E[w·g]|, the first-order Taylor estimate of what removing a weight costs (Molchanov et al. 2017, eq. 8), from the
    /// fleet's mean of w·g.
    public static func taylor(_ meanWeightTimesGradient: NamedTensors) -> NamedTensors {
        absolute(meanWeightTimesGradient)
    }

    private static func absolute(_ tensors: NamedTensors) -> NamedTensors {
        NamedTensors(tensors.ordered.map { ($0.name, Tensor($0.tensor.floats.map(abs), shape: $0.tensor.shape)) })
    }
}
