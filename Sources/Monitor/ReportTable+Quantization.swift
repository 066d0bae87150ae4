import Foundation

// The quantized file as people read it: its worst layers, what helps, what was given up and what stays float.

extension Report {
    /// Layers that are shown; the report's file has all.
    private static let layersShown = 12
    /// Sentences of a kind that are shown.
    private static let sentencesShown = 8
    /// Columns of a layer's name and of a line.
    private static let nameWidth = 28
    private static let lineWidth = 300

    /// nil where nothing was quantized.
    func quantizationText() -> String? {
        guard let quantization else { return nil }
        var lines = [quantization.headline]
        if !layers.isEmpty { lines.append(layerTable()) }
        if layers.count > Self.layersShown {
            lines.append("the \(Self.layersShown) worst of \(layers.count) layers; out/report.json has all")
        }
        lines += advice()
        lines += Self.listed(quantization.givenUp, "given up for the accuracy")
        lines += Self.listed(quantization.floatNodes, "stays float")
        lines += quantization.remarks.map { escapedForTerminal($0, limit: Self.lineWidth) }
        return lines.joined(separator: "\n")
    }

    private func layerTable() -> String {
        var rows = [["layer", "bits", "weights", "of bytes", "of MACs", "noise", "cosine", "clipped"]]
        for layer in layers.prefix(Self.layersShown) {
            rows.append([
                escapedForTerminal(layer.layer, limit: Self.nameWidth), "\(layer.bits)", Figures.count(layer.weights),
                Figures.percent(layer.shareOfBytes), layer.shareOfMacs.map(Figures.percent) ?? "-",
                layer.signalToNoise.map { String(format: "%.1f dB", $0) } ?? "-",
                layer.cosine.map { String(format: "%.4f", $0) } ?? "-",
                layer.clippedShare.map { String(format: "%.3f %%", 100 * $0) } ?? "-",
            ])
        }
        return TextTable(rows: rows).text()
    }

    /// What helps, each advice once with the layers that it is for.
    private func advice() -> [String] {
        var kinds: [String] = []
        var names: [String: [String]] = [:]
        for layer in layers.prefix(Self.layersShown) {
            guard let advice = layer.advice else { continue }
            if names[advice] == nil { kinds.append(advice) }
            names[advice, default: []].append(layer.layer)
        }
        return kinds.map {
            escapedForTerminal("what helps: \($0): " + (names[$0] ?? []).joined(separator: ", "), limit: Self.lineWidth)
        }
    }

    private static func listed(_ sentences: [String], _ what: String) -> [String] {
        var lines = sentences.prefix(sentencesShown).map {
            escapedForTerminal("\(what): \($0)", limit: lineWidth)
        }
        if sentences.count > sentencesShown {
            lines.append("\(what): \(sentences.count - sentencesShown) more, in out/report.json")
        }
        return lines
    }
}

extension Report.Quantization {
    /// The file in a line.
    fileprivate var headline: String {
        var text = "quantized for \(escapedForTerminal(target, limit: 20)): \(weights) weights"
        if let averageBits { text += String(format: " of %.2f bits", averageBits) }
        if let integerShare { text += ", \(Figures.percent(integerShare)) of the MACs in integer kernels" }
        if let agreement { text += ", says the same on \(Figures.percent(agreement)) of the outputs" }
        return text
    }
}
