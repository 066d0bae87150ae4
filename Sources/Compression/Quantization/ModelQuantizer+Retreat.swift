import Foundation
import ModelGraph
import Tensors

// What is given up of a file that costs too much accuracy. One move gives a layer the target's most bits, and a later one leaves it
// float32; those that gain most come first. After all of them one more gives the plain float32 file.

/// What layers get once something was given up.
struct RetreatedBits: Sendable, Equatable {
    /// Layers that are left out stay float32.
    var bits: [String: Int]
    /// Layers that have not what was asked for.
    var changed: Set<String> = []
    /// As people read it, in the order of use.
    var givenUp: [String] = []

    func isGivenUp(_ layer: String) -> Bool { changed.contains(layer) }
}

extension ModelQuantizer {
    /// The most bits of a weight that the target's kernels take.
    var mostBits: Int { settings.target.mostBits() }

    /// Bits as the settings ask for them, or as training had them; layers that are left out stay float32.
    func askedBits(
        _ evidence: QuantizationEvidence
    ) throws(CompressionError) -> (bits: [String: Int], front: [BitAllocation.Point]) {
        var (bits, front) = try bits(evidence)
        if let trained {
            for layer in layers { if let weight = trained.weights[layer.name] { bits[layer.name] = weight.bits } }
        }
        return (bits, front)
    }

    /// The bits after so many moves; nil where all is given up. Precondition: the number is not negative.
    func retreated(
        from asked: [String: Int], by count: Int, _ sensitivities: SensitivityTable?, _ moments: [String: InputMoments]
    ) throws -> RetreatedBits? {
        precondition(count >= 0, "\(count) moves back")
        var result = RetreatedBits(bits: asked)
        guard count > 0, settings.target.hasIntegerWeights else { return result }
        let costs = try retreatCosts(asked, sensitivities, moments)
        for _ in 0..<count {
            guard let layer = nextMove(result, costs) else { return nil }
            result.bits[layer] = next(layer, result)
            result.changed.insert(layer)
        }
        result.givenUp = layers.compactMap { layer in
            guard result.isGivenUp(layer.name), let before = asked[layer.name] else { return nil }
            return "\(layer.name): " + (result.bits[layer.name].map { "\($0) bits" } ?? "float32")
                + " instead of \(before) bits"
        }
        return result
    }

    /// The bits that a layer's next move gives it; nil for float32.
    private func next(_ layer: String, _ now: RetreatedBits) -> Int? {
        guard let bits = now.bits[layer], !now.isGivenUp(layer) else { return nil }
        // Levels that are not uniform become so.
        return bits < mostBits || settings.weights.levels != .uniform ? mostBits : nil
    }

    /// The layer whose next move gains most; of equals, the first that is used. nil where none is left.
    private func nextMove(_ now: RetreatedBits, _ costs: [String: RetreatCosts]) -> String? {
        var best: (layer: String, gain: Double)?
        for layer in layers {
            guard let bits = now.bits[layer.name] else { continue }
            let own = costs[layer.name]
            let after = next(layer.name, now).map { own?.cost($0) ?? 0 } ?? 0
            let gain = (own?.cost(bits) ?? 0) - after
            if best.map({ gain > $0.gain }) ?? true { best = (layer.name, gain) }
        }
        return best?.layer
    }

    /// Of the layers that are quantized: divergences, if all were measured; else what rounding adds to the variance of their
    /// outputs, where moments say it.
    private func retreatCosts(
        _ asked: [String: Int], _ sensitivities: SensitivityTable?, _ moments: [String: InputMoments]
    ) throws -> [String: RetreatCosts] {
        var result: [String: RetreatCosts] = [:]
        let quantized = layers.filter { asked[$0.name] != nil }
        if let sensitivities, !sensitivities.bits.isEmpty,
            quantized.allSatisfy({ sensitivities.layers.contains($0.name) })
        {
            for layer in quantized {
                guard let row = sensitivities.layers.firstIndex(of: layer.name) else { continue }
                result[layer.name] = RetreatCosts(measured: Array(zip(sensitivities.bits, sensitivities.costs[row])))
            }
            return result
        }
        for layer in quantized {
            guard let moments = moments[layer.name], let bits = asked[layer.name] else { continue }
            let tensor = try deployed.initializers.require(layer.name)
            var scheme = settings.weights.fitting(layer)
            scheme.bits = bits
            let nearest = try WeightQuantizer.quantize(tensor, axis: layer.axis, scheme: scheme, name: layer.name)
            let rounded = try Rounding.round(
                tensor, nearest: nearest, layer: layer, moments: moments, method: .nearest,
                biasTakesMean: settings.correctsBiases)
            guard rounded.energy > 0, (rounded.loss / rounded.energy).isFinite else { continue }
            result[layer.name] = RetreatCosts(measured: [(bits, rounded.loss / rounded.energy)])
        }
        return result
    }

    /// The file without integers.
    func plainModel(_ front: [BitAllocation.Point]) throws(ModelError) -> QuantizedModel {
        QuantizedModel(
            graph: try deployed.quantized(for: .float32, opset: opset), deployed: deployed, layers: [],
            activations: [:], front: front, equalized: equalized,
            givenUp: ["everything: the file is the float32 model"], canRetreat: false)
    }
}

/// What a layer costs at some numbers of bits, and by them at others: a bit more makes a quarter of the noise.
struct RetreatCosts: Sendable {
    /// Not empty.
    let measured: [(bits: Int, cost: Double)]

    init(measured: [(Int, Double)]) { self.measured = measured.map { (bits: $0.0, cost: $0.1) } }

    func cost(_ bits: Int) -> Double {
        var nearest = measured[0]
        for other in measured where abs(other.bits - bits) < abs(nearest.bits - bits) { nearest = other }
        return nearest.cost * pow(4, Double(nearest.bits - bits))
    }
}
