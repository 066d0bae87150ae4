// What the quantized file is, what a budget could have had, and what was given up.

extension ReportPage {
    var quantization: Markup? {
        guard let quantization = report.quantization else { return nil }
        var terms = Markup()
        func term(_ name: String, _ figure: String?) {
            if let figure { terms += "<div><dt>\(name)</dt><dd>\(figure)</dd></div>\n" }
        }
        term("Target", quantization.target)
        term("Weights", Figures.count(quantization.weights))
        term("Bits on average", quantization.averageBits.map(Figures.number))
        term("Says the same as in floats", quantization.agreement.map(Figures.percent))
        term("MACs in integer kernels", quantization.integerShare.map(Figures.percent))
        return "<dl class=\"facts\">\(terms)</dl>\n" + front(quantization)
            + Self.list("Given up for the accuracy", quantization.givenUp)
            + Self.list("Computed in floats by the target's runtime", quantization.floatNodes)
            + Self.list("Remarks", quantization.remarks)
    }

    /// Points of the front that are drawn.
    private static let frontPoints = 200

    private func front(_ quantization: Report.Quantization) -> Markup {
        let front = quantization.front
        let each = max(1, (front.count + Self.frontPoints - 1) / Self.frontPoints)
        let points = front.enumerated().filter { $0.offset.isMultiple(of: each) || $0.offset == front.count - 1 }
        let chart = LineChart(
            id: "c-front", title: "What each budget could have had: divergence against size",
            series: [
                LineChart.Series("best divergence", points.map { (Double($0.element.size), $0.element.cost) })
            ], format: Figures.number, across: "size",
            acrossFormat: { Figures.amount(Int(exactly: $0.rounded()) ?? 0) }, least: 0, isCloud: true)
        guard let drawing = chart.markup else { return "" }
        return """
            \(drawing)<p class="soft">Size in the budget's unit (bytes, or bits times weights or operations); divergence is \
            the sum of what each layer's bits cost the model's outputs.</p>

            """
    }

    /// Sentences of one kind that are shown.
    private static let listed = 20

    private static func list(_ title: String, _ sentences: [String]) -> Markup {
        guard !sentences.isEmpty else { return "" }
        var items = sentences.prefix(listed).map { "<li>\($0)</li>" as Markup }
        if sentences.count > listed { items.append("<li>\(sentences.count - listed) more, in out/report.json</li>") }
        return "<h3>\(title)</h3><ul>\(items)</ul>\n"
    }
}
