import Foundation
import Tensors

/// What quantizing did to one layer.
public struct LayerExplanation: Sendable, Equatable, Codable {
    /// The weight's name.
    public let layer: String
    public let bits: Int
    public let weights: Int
    /// Shares of all quantized weights' bytes, and of their multiply-accumulates where shapes are known.
    public let shareOfBytes: Double
    public let shareOfMacs: Double?
    /// What shares a scale: tensor, channel or block.
    public let scales: String
    /// How it was rounded (trained: as training chose), and how it was to be: nearest wins where another way is no better.
    public let rounding: String
    public let askedRounding: String
    /// Share of the outputs' variance that rounding the weight alone adds; where moments say it.
    public let relativeError: Double?
    /// Of what the layer computes, all before it quantized too: decibels, and -1 to 1. Where it was compared.
    public var signalToNoise: Double?
    public var cosine: Double?
    /// Of the values that it computes, where they are quantized ahead: the range, and the share of values beyond it.
    public let low: Double?
    public let high: Double?
    public let clippedShare: Double?
    /// Mean divergence of the model's outputs with this layer alone at these bits; where it was measured.
    public let sensitivity: Double?
    /// What would help most, where a comparison found that something would.
    public var advice: String?
}

extension LayerExplanation {
    /// Below this many decibels, a tenth of the signal's magnitude is noise.
    private static let poor = 20.0

    private var neededAdvice: String? {
        guard let signalToNoise, signalToNoise < Self.poor else { return nil }
        if scales == "tensor" { return "scales a channel instead of one" }
        let weightIsWorst = relativeError.map { -10 * log10($0) < signalToNoise + 3 } ?? (bits < 8)
        if weightIsWorst, bits < 8 {
            let canBeBetter = rounding == RoundingMethod.nearest.rawValue && askedRounding == rounding
            return canBeBetter ? "rounding adaround, or more bits" : "more bits"
        }
        if let clippedShare, clippedShare > 0.001 { return "a wider range: a higher percentile, or minMax" }
        return "what is before it costs more than it does; or leave it float"
    }

    /// With what a comparison says of it.
    fileprivate func compared(_ agreement: Agreement?) -> LayerExplanation {
        var result = self
        (result.signalToNoise, result.cosine) = (agreement?.signalToNoise, agreement?.cosine)
        result.advice = result.neededAdvice
        return result
    }
}

extension [LayerExplanation] {
    /// With what a comparison says of the layers, the worst first; those that were not compared last, in their order.
    public func compared(with sums: ComparisonSums) -> [LayerExplanation] {
        let found = Dictionary(
            zip(sums.layers, sums.agreements), uniquingKeysWith: { first, _ in first })
        let layers = map { $0.compared(found[$0.layer]) }
        let order = layers.indices.sorted {
            (layers[$0].signalToNoise ?? .infinity, $0) < (layers[$1].signalToNoise ?? .infinity, $1)
        }
        return order.map { layers[$0] }
    }

    /// JSON, its keys in the order of the alphabet: equal explanations have equal bytes.
    public func json() throws -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return [UInt8](try encoder.encode(self))
    }
}
