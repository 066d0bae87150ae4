import Engine
import ModelGraph
import Tensors

/// Which way weights are rounded.
public enum RoundingMethod: String, Sendable, CaseIterable {
    case nearest
    /// Learned (Nagel et al. 2020, "Up or Down? Adaptive Rounding for Post-Training Quantization").
    case adaptive = "adaround"
    /// Column by column, each error made good by the columns after it (Frantar et al. 2023, "GPTQ").
    case errorFeedback = "gptq"
}

/// A layer's codes and what they cost: tr(D H Dᵀ), the outputs' error summed over the outputs (`RoundingProblem`): its mean square,
/// or its variance where the bias takes the mean.
public struct RoundedWeight: Sendable, Equatable {
    public let weight: QuantizedWeight
    public let loss: Double
    /// Of rounding to the nearest.
    public let nearestLoss: Double
    /// tr(W H Wᵀ): the same of the outputs themselves.
    public let energy: Double
    /// What was used: nearest, where another way was no better.
    public let method: RoundingMethod
}

/// Chooses codes by what a layer makes of its inputs. Scales, levels and zeros stay. Deterministic on one machine.
public enum Rounding {
    /// AdaRound's iterations for a layer by itself.
    public static let mostEffort = 1_000

    /// - Parameters:
    ///   - tensor: the float32 weight.
    ///   - nearest: the same as `WeightQuantizer` quantized it.
    ///   - layer: the weight's. Precondition: it, the moments and both weights belong together.
    ///   - biasTakesMean: whether a bias takes back what rounding adds to the means of the outputs (`BiasCorrection`).
    ///   - effort: AdaRound's iterations for a small layer (`AdaptiveCodes.effort(for:)`).
    /// - Throws: `EngineError.runtime`, `.notFinite`.
    public static func round(
        _ tensor: Tensor, nearest: QuantizedWeight, layer: QuantizableLayer, moments: InputMoments,
        method: RoundingMethod, biasTakesMean: Bool, effort: Int = mostEffort
    ) throws(EngineError) -> RoundedWeight {
        let problem = RoundingProblem(tensor, nearest, layer: layer, moments: moments, biasTakesMean: biasTakesMean)
        let start = layer.matrix(nearest.values.elements(as: Int8.self))
        let nearestLoss = try problem.loss(start)
        let codes: [Int8]?
        switch method {
        case .nearest: codes = nil
        case .adaptive: codes = try AdaptiveCodes(problem, nearest: start, effort: effort).codes()
        case .errorFeedback: codes = try ErrorFeedback(problem).codes()
        }
        let energy = try problem.energy()
        if let codes {
            let loss = try problem.loss(codes)
            if loss < nearestLoss {
                return RoundedWeight(
                    weight: nearest.replacing(codes: problem.inOrder(codes)), loss: loss, nearestLoss: nearestLoss,
                    energy: energy, method: method)
            }
        }
        return RoundedWeight(
            weight: nearest, loss: nearestLoss, nearestLoss: nearestLoss, energy: energy, method: .nearest)
    }
}
