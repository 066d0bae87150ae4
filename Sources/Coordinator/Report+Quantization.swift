import Compression
import Federation
import Monitor
import Shell

extension Report {
    /// Takes over what the exported file is and what quantizing did to its layers.
    mutating func take(_ explanation: FileExplanation) {
        quantization = Quantization(explanation)
        layers = explanation.layers.map(Layer.init)
    }
}

extension Report.Quantization {
    init(_ explanation: FileExplanation) {
        let facts = explanation.facts
        self.init(
            target: facts.target, averageBits: facts.averageBits, weights: facts.layers,
            agreement: explanation.agreement, integerShare: facts.integerShare, givenUp: facts.givenUp,
            floatNodes: facts.floatNodes, remarks: facts.remarks,
            front: explanation.front.map { Point(size: $0.size, cost: $0.cost) })
    }
}

extension Report.Layer {
    init(_ layer: LayerExplanation) {
        self.init(layer: layer.layer, bits: layer.bits, weights: layer.weights)
        (shareOfBytes, shareOfMacs) = (layer.shareOfBytes, layer.shareOfMacs)
        (scales, rounding, relativeError) = (layer.scales, layer.rounding, layer.relativeError)
        (signalToNoise, cosine) = (layer.signalToNoise, layer.cosine)
        (low, high, clippedShare) = (layer.low, layer.high, layer.clippedShare)
        (sensitivity, advice) = (layer.sensitivity, layer.advice)
    }
}
