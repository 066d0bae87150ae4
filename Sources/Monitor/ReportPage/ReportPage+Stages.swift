// Stage by stage: a table of all, then what each was told to do and what came of it.

extension ReportPage {
    var stages: Markup? {
        guard !report.stages.isEmpty else { return nil }
        let (told, untold) = Self.ends(report.stages.count, of: Self.stagesTold)
        var text = stageTable
        for index in told { text += article(index) }
        if untold > 0 {
            text += "<p class=\"soft\">\(Figures.count(untold)) stages in between are told in out/report.json.</p>\n"
        }
        return text
    }

    /// The first and the last of many, and how many are left out.
    static func ends(_ count: Int, of most: Int) -> (shown: [Int], hidden: Int) {
        guard count > most else { return (Array(0..<count), 0) }
        return (Array(0..<most / 2) + Array(count - (most - most / 2)..<count), count - most)
    }

    private var stageTable: Markup {
        var table = PageTable(
            "Each stage: what it left, and what it moved",
            [
                "stage", "rounds", "time", "up", "down", "accuracy", "parameters", "MACs", "file", "ms", "masked",
                "refused",
            ])
        let (shown, hidden) = Self.ends(report.stages.count, of: Self.stageRows)
        let longest = report.stages.map(\.seconds).max() ?? 0
        for index in shown {
            let stage = report.stages[index]
            table.rows.append([
                PageTable.Cell("\(index + 1) \(stage.kind)"), PageTable.Cell(Figures.count(stage.rounds)),
                PageTable.Cell(Figures.seconds(stage.seconds), share: longest > 0 ? stage.seconds / longest : nil),
                PageTable.Cell(Figures.bytes(stage.wireBytesUp)), PageTable.Cell(Figures.bytes(stage.wireBytesDown)),
                PageTable.Cell(stage.accuracyAfter.map(Figures.percent)),
                PageTable.Cell(stage.parametersAfter.map(ReportWords.amount)),
                PageTable.Cell(stage.macsAfter.map(Figures.amount)), PageTable.Cell(Figures.bytes(stage.bytesAfter)),
                PageTable.Cell(stage.millisecondsAfter.map(Figures.milliseconds)),
                PageTable.Cell(Figures.percent(stage.sparsity)), PageTable.Cell(stage.refusals.map(Figures.count)),
            ])
        }
        return hidden == 0
            ? table.markup
            : table.markup + "<p class=\"soft\">\(Figures.count(hidden)) rows in between are left out.</p>\n"
    }

    private func article(_ index: Int) -> Markup {
        let stage = report.stages[index]
        let curves = ReportCurves(report, stage: index)
        let plots = [
            curves.loss("s\(index)-loss").markup,
            Self.hasCourse(curves) ? curves.accuracy("s\(index)-accuracy").markup : nil,
        ]
        .compactMap(\.self)
        let unfinished = stage.state == "running" ? ", in progress" : ""
        return """
            <article aria-labelledby="s\(index)"><h3 id="s\(index)">\(index + 1) · \(stage.kind)\(unfinished)</h3>
            \(Self.paragraphs(stage.settings))\(figures(of: stage))\(Self.facts(stage.facts))
            \(plots.isEmpty ? Markup() : "<div class=\"plots\">\(plots)</div>")</article>

            """
    }

    /// An accuracy at the end alone stands in the figures.
    private static func hasCourse(_ curves: ReportCurves) -> Bool { curves.rounds.count { $0.accuracy != nil } > 1 }

    private func figures(of stage: Report.Stage) -> Markup {
        var terms = Markup()
        func term(_ name: String, _ figure: String?) {
            if let figure { terms += "<div><dt>\(name)</dt><dd>\(figure)</dd></div>\n" }
        }
        term("Rounds", "\(Figures.count(stage.rounds)) in \(Figures.seconds(stage.seconds))")
        term("Accuracy", Self.change(stage.accuracyBefore, stage.accuracyAfter, Figures.percent))
        term("Loss at the end", stage.loss.map(Figures.number))
        term("Bytes up, down", "\(Figures.bytes(stage.wireBytesUp)), \(Figures.bytes(stage.wireBytesDown))")
        if stage.wireBytesFloat32 > 0 {
            term(
                "Float32 averaging",
                Figures.bytes(stage.wireBytesFloat32)
                    + ReportWords.smaller(stage.wireBytesFloat32, stage.wireBytesUp + stage.wireBytesDown, "fewer"))
        }
        term("Model file", Self.change(stage.bytesBefore, stage.bytesAfter, Figures.bytes))
        term("Parameters", Self.change(stage.parametersBefore, stage.parametersAfter, ReportWords.amount))
        term("Multiply-accumulates", Self.change(stage.macsBefore, stage.macsAfter, Figures.amount))
        if stage.sparsity > 0 { term("Masked weights", Figures.percent(stage.sparsity)) }
        if let contributions = stage.contributions {
            let refused = stage.refusals.map { ", \(Figures.count($0)) refused" } ?? ""
            term("Contributions", Figures.count(contributions) + refused)
        }
        return "<dl class=\"facts\">\(terms)</dl>\n"
    }

    /// `98.1 % → 97.9 %`, or what is known of it, once where it stayed.
    private static func change<Value: Equatable>(
        _ before: Value?, _ after: Value?, _ text: (Value) -> String
    ) -> String? {
        guard let before, let after, before != after else { return (after ?? before).map(text) }
        return "\(text(before)) → \(text(after))"
    }

    /// Most characters of one paragraph: the plan's names of layers and files stand in it.
    private static let paragraphLimit = 2000

    private static func paragraphs(_ settings: [String]?) -> Markup {
        guard let settings, !settings.isEmpty else { return "" }
        let told = settings.map { "<p>\(Markup(Markup.escaped($0, limit: paragraphLimit)))</p>\n" as Markup }
        return "<p class=\"soft\">What it was told:</p>\n\(told)"
    }

    private static func facts(_ facts: [String]?) -> Markup {
        guard let facts, !facts.isEmpty else { return "" }
        return "<p class=\"soft\">What came of it:</p><ul>\(facts.map { "<li>\($0)</li>" as Markup })</ul>\n"
    }
}
