import Federation

/// Two runs side by side as a page, with both in one drawing.
struct ComparisonPage {
    let comparison: RunComparison

    var document: ReportDocument {
        let parts: [ReportDocument.Section?] = [
            section("result", "What they gained and cost", table("Both runs", comparison.figures)),
            section("rounds", "Round by round", plots), section("stages", "Stage by stage", stages),
            section("layers", "Layer by layer", layers),
            section("settings", "What their plans say differently", settings),
        ]
        return ReportDocument(
            title: "\(comparison.nameA) and \(comparison.nameB)", subtitle: subtitle,
            notices: comparison.isComparable ? [] : [comparison.verdict], sections: parts.compactMap(\.self))
    }

    private func section(_ id: String, _ title: String, _ body: Markup?) -> ReportDocument.Section? {
        body.map { ReportDocument.Section(id: id, title: title, body: $0) }
    }

    private var subtitle: String {
        let runs = [(comparison.nameA, comparison.a), (comparison.nameB, comparison.b)].map { name, report in
            "\(name): plan \(report.plan), run \(report.run)"
        }
        return (runs + (comparison.isComparable ? [comparison.verdict] : [])).joined(separator: " · ")
    }

    private func table(_ caption: String, _ figures: [RunComparison.Figure]) -> Markup {
        var table = PageTable(caption, ["figure", comparison.nameA, comparison.nameB, "difference"])
        for figure in figures { table.rows.append(row([figure.label], figure)) }
        return table.markup
    }

    private func row(_ names: [String], _ figure: RunComparison.Figure) -> [PageTable.Cell] {
        (names + figure.cells).map { PageTable.Cell($0 == "-" ? PageTable.Cell.unknown : $0) }
    }

    private var plots: Markup? {
        let (a, b) = (ReportCurves(comparison.a), ReportCurves(comparison.b))
        let (accuracyA, accuracyB) = (a.accuracy(""), b.accuracy(""))
        let charts = [
            both("c-accuracy", accuracyA, accuracyB, place: 0, name: "accuracy"),
            both("c-loss", a.loss(""), b.loss(""), place: 0, name: "training loss"),
            both("c-test", a.loss(""), b.loss(""), place: 1, name: "test loss"),
            both(
                "c-bytes", a.bytes("", comparesFloat32: false), b.bytes("", comparesFloat32: false), place: 0,
                name: "bytes so far"),
        ]
        let drawn = charts.compactMap(\.markup)
        return drawn.isEmpty ? nil : "<div class=\"plots\">\(drawn)</div>\n"
    }

    /// One line of each run in a drawing of both.
    private func both(_ id: String, _ a: LineChart, _ b: LineChart, place: Int, name: String) -> LineChart {
        var chart = a
        chart.id = id
        chart.title = name.prefix(1).uppercased() + name.dropFirst()
        chart.edges = []
        chart.series = [(comparison.nameA, a), (comparison.nameB, b)].map { name, one in
            var series = one.series[place]
            series.name = name
            return series
        }
        return chart
    }

    private var stages: Markup? {
        guard !comparison.stages.isEmpty || comparison.stagesRemark != nil else { return nil }
        let rest: Markup = comparison.stagesRemark.map { "<p class=\"soft\">\($0)</p>\n" } ?? ""
        return parts(comparison.stages, "Each stage of both", most: ReportPage.stageRows) + rest
    }

    private var layers: Markup? {
        guard !comparison.layers.isEmpty else { return nil }
        return parts(comparison.layers, "Weights that both models have", most: ReportPage.layerRows)
    }

    private func parts(_ parts: [RunComparison.Part], _ caption: String, most: Int) -> Markup {
        guard !parts.isEmpty else { return "" }
        var table = PageTable(caption, ["name", "figure ", comparison.nameA, comparison.nameB, "difference"])
        for part in parts.prefix(most) {
            for figure in part.figures { table.rows.append(row([part.name, figure.label], figure)) }
        }
        return table.markup
            + (parts.count > most ? "<p class=\"soft\">\(parts.count - most) more: compare --json has them.</p>\n" : "")
    }

    private var settings: Markup? {
        guard !comparison.settings.isEmpty || comparison.settingsRemark != nil else { return nil }
        var text = Markup()
        if !comparison.settings.isEmpty {
            var table = PageTable(
                "Settings that differ; a dash is the default",
                ["setting", comparison.nameA + " ", comparison.nameB + " "])
            for setting in comparison.settings {
                table.rows.append([
                    PageTable.Cell(setting.key), PageTable.Cell(setting.a), PageTable.Cell(setting.b),
                ])
            }
            text += table.markup
        }
        if let remark = comparison.settingsRemark { text += "<p class=\"soft\">\(remark).</p>\n" }
        return text
    }
}

extension RunComparison {
    /// The page's bytes.
    public func page() -> [UInt8] { ComparisonPage(comparison: self).document.bytes }
}
