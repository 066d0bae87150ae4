import Compression
import Foundation
import ModelGraph
import Monitor

/// What `pleach model quantize` did.
struct QuantizeReport: Encodable {
    struct FloatNode: Encodable {
        var name: String
        var `operator`: String
        var reason: String
        /// Of all multiply-accumulates.
        var shareOfMacs: Double?
    }

    /// What a budget could have had: bytes of weights and the sum of what layers cost.
    struct FrontPoint: Encodable {
        var size: Int
        var cost: Double
    }

    var out: String
    var target: String
    var opset: Int
    var bytesBefore: Int
    var bytes: Int
    /// Samples that were measured; 0 without data.
    var samples: Int
    /// Bits of a quantized weight, on average; nil where none is.
    var averageBits: Double?
    var equalizedPairs: Int
    /// Share of compared samples on which both models say the same; nil where nothing was compared.
    var agreement: Double?
    var layers: [LayerExplanation]
    /// Nodes that the target's runtime is predicted to compute in float32.
    var floatNodes: [FloatNode]
    /// Share of multiply-accumulates in integer kernels, 0 to 1.
    var integerShareOfMacs: Double?
    var front: [FrontPoint]
    var remarks: [String] = []

    init(
        _ model: QuantizedModel, quantizer: ModelQuantizer, evidence: QuantizationEvidence,
        comparison: ComparisonSums?, out: String, bytesBefore: Int, bytes: Int, samples: Int
    ) {
        (self.out, target, self.bytesBefore, self.bytes) = (out, quantizer.settings.target.rawValue, bytesBefore, bytes)
        (opset, self.samples, equalizedPairs) = (Int(model.graph.opset), samples, model.equalized)
        let weights = model.layers.reduce(0) { $0 + $1.weights }
        if weights > 0 {
            averageBits = model.layers.reduce(0.0) { $0 + Double($1.weights * $1.bits) } / Double(weights)
        }
        agreement = comparison?.agreement
        layers = quantizer.explain(model, evidence)
        if let comparison { layers = layers.compared(with: comparison) }
        let audit = model.graph.fusionAudit(for: quantizer.settings.target)
        floatNodes = audit.floatEntries.map { entry in
            FloatNode(
                name: entry.name, operator: entry.operator, reason: entry.reason ?? "",
                shareOfMacs: audit.share(of: entry))
        }
        integerShareOfMacs = audit.integerShare
        front = Self.thinned(model.front).map { FrontPoint(size: $0.size, cost: $0.cost) }
    }

    /// At most 200 points, the first and the last among them.
    private static func thinned(_ front: [BitAllocation.Point]) -> [BitAllocation.Point] {
        guard front.count > 200 else { return front }
        return (0..<200).map { front[$0 * (front.count - 1) / 199] }
    }

    /// Layers that are listed for people; `--json` has all.
    private static let listed = 12

    /// The report for a terminal.
    var lines: [String] {
        var lines: [String] = []
        if !layers.isEmpty {
            var table = TextTable(
                ["layer", "bits", "weights", "of bytes", "of MACs", "noise", "cosine", "clipped", "what helps"],
                numbers: [1, 2, 3, 4, 5, 6, 7])
            for layer in layers.prefix(Self.listed) {
                table.add([
                    layer.layer, "\(layer.bits)", "\(layer.weights)", Self.percent(layer.shareOfBytes),
                    Self.percent(layer.shareOfMacs), layer.signalToNoise.map { String(format: "%.1f dB", $0) } ?? "-",
                    layer.cosine.map { String(format: "%.4f", $0) } ?? "-",
                    layer.clippedShare.map { String(format: "%.3f %%", 100 * $0) } ?? "-", layer.advice ?? "",
                ])
            }
            lines += table.lines
            if layers.count > Self.listed {
                lines.append("the \(Self.listed) worst of \(layers.count) layers; --json lists all")
            }
            lines.append("")
        }
        for node in floatNodes {
            let share = node.shareOfMacs.flatMap { $0 > 0 ? " (\(Self.percent($0)) of the MACs)" : nil } ?? ""
            lines.append(
                escapedForTerminal("stays float: \(node.operator) '\(node.name)'\(share): \(node.reason)", limit: 4000))
        }
        if let integerShareOfMacs, target != "float32" {
            lines.append("in integer kernels: \(Self.percent(integerShareOfMacs)) of the multiply-accumulates")
        }
        if equalizedPairs > 0 {
            lines.append(
                "equalized: \(equalizedPairs) pairs of layers; noise and cosine compare with the equalized float model, which "
                    + "computes the same")
        }
        if let agreement { lines.append("says the same as the float model: \(Self.percent(agreement)) of samples") }
        lines += remarks.map { escapedForTerminal($0, limit: 4000) }
        let bits = averageBits.map { String(format: ", weights of %.2f bits", $0) } ?? ""
        let measured = samples > 0 ? ", measured on \(samples) samples" : ""
        lines.append(
            "\(out): \(bytes) bytes (float32: \(bytesBefore)) for \(target), opset \(opset)\(bits)\(measured)")
        return lines
    }

    private static func percent(_ share: Double?) -> String { share.map { String(format: "%.2f %%", 100 * $0) } ?? "-" }
}
