import Engine
import Foundation
import ModelGraph
import Tensors

/// What quantizing did to one layer.
public struct LayerExplanation: Sendable, Equatable, Codable {
    public let layer: String
    public let bits: Int
    public let weights: Int
    /// Shares of all quantized weights' bytes, and of their multiply-accumulates where shapes are known.
    public let shareOfBytes: Double
    public let shareOfMacs: Double?
    public let rounding: String
    /// Share of the outputs' variance that rounding the weight alone adds; where moments say it.
    public let relativeError: Double?
    /// Of what the layer computes, all before it quantized too: decibels, and -1 to 1.
    public let signalToNoise: Double?
    public let cosine: Double?
    /// Of the values that it computes, where they are quantized ahead: the range, and the share of values beyond it.
    public let low: Double?
    public let high: Double?
    public let clippedShare: Double?
    /// Mean divergence of the model's outputs with this layer alone at these bits; where a budget asked for it.
    public let sensitivity: Double?
    /// What would help most, where something would.
    public let advice: String?
}

/// Runs a model and its quantized form side by side and sums how far they are apart. Owned by one thread.
public final class QuantizationExplanation {
    private let quantizer: ModelQuantizer
    private let model: QuantizedModel
    private let float: Executable
    private let quantized: Executable
    private let given: String
    /// By layer: the value that is compared.
    private let values: [String?]
    private var agreements: [Agreement]
    /// Outputs whose largest number is at the same place.
    public private(set) var agreeing = 0
    public private(set) var outputs = 0

    /// - Throws: `EngineError.unsupported`.
    public init(_ model: QuantizedModel, by quantizer: ModelQuantizer) throws(EngineError) {
        (self.model, self.quantizer) = (model, quantizer)
        float = try Executable(model.deployed)
        quantized = try Executable(model.graph)
        given = model.deployed.inputs.first?.name ?? ""
        let computed = Set(model.graph.nodes.flatMap(\.outputs))
        let restored = Set(
            model.graph.nodes.filter { $0.operatorType == "DequantizeLinear" }.flatMap(\.outputs))
        values = quantizer.layers.map { layer in
            // The layer's own output, or that of the Relu or Clip behind it where the two are one kernel.
            let candidates = layer.settledValues(in: model.deployed)
            return candidates.first(where: restored.contains) ?? candidates.first(where: computed.contains)
        }
        agreements = Array(repeating: Agreement(), count: values.count)
    }

    /// Adds a batch of samples for a single-input model.
    /// - Throws: `EngineError`; `CompressionError.valueOutOfRange` where values are not finite.
    public func add(_ inputs: Tensor) throws {
        let inputs = NamedTensors([(given, inputs)])
        let names = Array(Set(values.compactMap(\.self))).sorted()
        let (one, before) = try float.logits(inputs, features: names)
        let (other, after) = try quantized.logits(inputs, features: names)
        for (index, name) in values.enumerated() {
            guard let name, let x = before[name], let y = after[name], x.shape == y.shape else { continue }
            try agreements[index].add(x, y)
        }
        let (same, rows) = Self.sameLargest(one, other)
        (agreeing, outputs) = (agreeing + same, outputs + rows)
    }

    /// Rows along the last axis whose largest number is at the same place.
    private static func sameLargest(_ one: Tensor, _ other: Tensor) -> (same: Int, rows: Int) {
        guard one.shape == other.shape, let width = one.shape.dimensions.last, width > 1 else { return (0, 0) }
        let rows = one.elementCount / width
        let (a, b) = (one.floats, other.floats)
        let place = { (values: [Float], row: Int) in
            (row * width..<(row + 1) * width).max { values[$0] < values[$1] } ?? 0
        }
        return ((0..<rows).count { place(a, $0) == place(b, $0) }, rows)
    }

    /// The layers, the worst outputs first; those that were not compared last.
    public func layers(_ evidence: QuantizationEvidence) -> [LayerExplanation] {
        let bytes = model.layers.reduce(0.0) { $0 + Double($1.weights * $1.bits) }
        let macs = try? quantizer.multiplyAccumulates()
        let allMacs = macs.map { $0.values.reduce(0.0) { $0 + Double($1) } } ?? 0
        var result: [LayerExplanation] = []
        for (index, layer) in model.layers.enumerated() {
            let range = range(ofLayer: index, evidence.calibration)
            let explanation = LayerExplanation(
                layer: layer.name, bits: layer.bits, weights: layer.weights,
                shareOfBytes: bytes > 0 ? Double(layer.weights * layer.bits) / bytes : 0,
                shareOfMacs: allMacs > 0 ? macs?[layer.name].map { Double($0) / allMacs } : nil,
                rounding: layer.rounding.rawValue, relativeError: layer.relativeError,
                signalToNoise: agreements[index].signalToNoise, cosine: agreements[index].cosine, low: range?.low,
                high: range?.high, clippedShare: range?.clipped,
                sensitivity: evidence.sensitivities?.cost(of: layer.name, bits: layer.bits),
                advice: advice(layer, agreements[index].signalToNoise, clipped: range?.clipped))
            result.append(explanation)
        }
        return result.enumerated().sorted {
            ($0.element.signalToNoise ?? .infinity, $0.offset) < ($1.element.signalToNoise ?? .infinity, $1.offset)
        }.map(\.element)
    }

    private func range(ofLayer index: Int, _ calibration: CalibrationSet?) -> (
        low: Double, high: Double, clipped: Double
    )? {
        guard let name = values[index], let activation = model.activations[name], let histogram = calibration?[name]
        else { return nil }
        let codes = activation.storage.codes
        let low = Double(activation.scale) * Double(codes.lowerBound - activation.zeroPoint)
        let high = Double(activation.scale) * Double(codes.upperBound - activation.zeroPoint)
        return (low, high, histogram.clippedShare(low: low, high: high))
    }

    /// Below this many decibels, a tenth of the signal's magnitude is noise.
    private static let poor = 20.0

    private func advice(_ layer: QuantizedLayer, _ signalToNoise: Double?, clipped: Double?) -> String? {
        guard let signalToNoise, signalToNoise < Self.poor else { return nil }
        if quantizer.settings.weights.granularity == .tensor { return "scales a channel instead of one" }
        let weightIsWorst = layer.relativeError.map { -10 * log10($0) < signalToNoise + 3 } ?? (layer.bits < 8)
        if weightIsWorst, layer.bits < 8 {
            return layer.rounding == .nearest && quantizer.settings.rounding == .nearest
                ? "rounding adaround, or more bits" : "more bits"
        }
        if let clipped, clipped > 0.001 { return "a wider range: a higher percentile, or minMax" }
        return "what is before it costs more than it does; or leave it float"
    }
}

extension SensitivityTable {
    /// What a layer at so many bits costs, if it was measured.
    public func cost(of layer: String, bits: Int) -> Double? {
        guard let row = layers.firstIndex(of: layer), let column = self.bits.firstIndex(of: bits) else { return nil }
        return costs[row][column]
    }
}

extension QuantizableLayer {
    /// The value that its first node computes, and what a Relu or Clip behind it makes of it.
    fileprivate func settledValues(in graph: Graph) -> [String] {
        guard let node = nodes.first, let output = graph.nodes[node].outputs.first else { return [] }
        let readers = graph.nodes.filter { $0.inputs.contains(output) }
        guard readers.count == 1, let reader = readers.first, ["Relu", "Clip"].contains(reader.operatorType),
            let settled = reader.outputs.first
        else { return [output] }
        return [output, settled]
    }
}
