// Layer by layer: what each weight was and is, and what quantizing did to it.

extension ReportPage {
    var layers: Markup? {
        guard !report.tensors.isEmpty || !report.layers.isEmpty else { return nil }
        var text = Markup()
        if !report.tensors.isEmpty { text += tensorTable }
        if !report.layers.isEmpty { text += noiseTable }
        return text
    }

    private var tensorTable: Markup {
        var table = PageTable(
            "The weights of layers, in the model's order",
            ["weight", "shape ", "as it began ", "elements", "alive", "bits", "bytes", "factorized "])
        let largest = report.tensors.compactMap { Report.Tensor.elements($0.shapeAfter) }.max() ?? 0
        let most = report.tensors.compactMap(\.bytes).max() ?? 0
        for tensor in report.tensors.prefix(Self.layerRows) {
            let elements = Report.Tensor.elements(tensor.shapeAfter)
            let isSame = tensor.shapeBefore == tensor.shapeAfter
            table.rows.append([
                PageTable.Cell(tensor.name), PageTable.Cell(ReportWords.shape(tensor.shapeAfter) ?? "gone"),
                PageTable.Cell(isSame ? nil : ReportWords.shape(tensor.shapeBefore) ?? "new"),
                PageTable.Cell(elements.map(Figures.count), share: Self.share(elements, of: largest)),
                PageTable.Cell(Self.share(tensor.alive, of: elements ?? 0).map(Figures.percent)),
                PageTable.Cell(tensor.bits.map { Figures.number($0) }, share: tensor.bits.map { $0 / 32 }),
                PageTable.Cell(tensor.bytes.map(Figures.bytes), share: Self.share(tensor.bytes, of: most)),
                PageTable.Cell(tensor.rank),
            ])
        }
        return table.markup + Self.rest(report.tensors.count, "weights")
    }

    private static func share(_ part: Int?, of whole: Int) -> Double? {
        guard let part, whole > 0 else { return nil }
        return Double(part) / Double(whole)
    }

    /// That a table does not hold all.
    static func rest(_ count: Int, _ what: String) -> Markup {
        guard count > layerRows else { return "" }
        return """
            <p class="soft">The first \(Figures.count(layerRows)) of \(Figures.count(count)) \(what); out/report.json has \
            more.</p>

            """
    }

    private var noiseTable: Markup {
        var table = PageTable(
            "What quantizing did to each weight, the worst first",
            [
                "weight", "bits", "of bytes", "of MACs", "noise", "cosine", "clipped", "divergence", "rounding ",
                "what would help ",
            ])
        for layer in report.layers.prefix(Self.layerRows) {
            table.rows.append([
                PageTable.Cell(layer.layer), PageTable.Cell("\(layer.bits)"),
                PageTable.Cell(Figures.percent(layer.shareOfBytes), share: layer.shareOfBytes),
                PageTable.Cell(layer.shareOfMacs.map(Figures.percent), share: layer.shareOfMacs),
                PageTable.Cell(layer.signalToNoise.map { "\(Figures.number($0)) dB" }),
                PageTable.Cell(layer.cosine.map(Figures.number)),
                PageTable.Cell(layer.clippedShare.map { "\(Figures.number(100 * $0)) %" }),
                PageTable.Cell(layer.sensitivity.map(Figures.number)),
                PageTable.Cell([layer.rounding, layer.scales].filter { !$0.isEmpty }.joined(separator: ", ")),
                PageTable.Cell(layer.advice),
            ])
        }
        return table.markup + Self.rest(report.layers.count, "weights")
    }
}
