import Federation
import Foundation

/// `out/report.html`: what a run did, what it cost and what it gained, in the order in which a stranger asks.
struct ReportPage {
    let report: Report

    /// Stages that are told in detail, rows of the table of stages, of layers and of workers.
    static let stagesTold = 24
    static let stageRows = 60
    static let layerRows = 200
    static let workerRows = 40

    var document: ReportDocument {
        let parts: [ReportDocument.Section?] = [
            ReportDocument.Section(id: "result", title: "What it gained", body: gains),
            section("rounds", "Round by round", rounds), section("stages", "Stage by stage", stages),
            section("layers", "Layer by layer", layers), section("quantization", "Quantization", quantization),
            section("fleet", "Who took part", fleet), section("again", "To make it again", again),
        ]
        return ReportDocument(
            title: report.plan, subtitle: subtitle, notices: notices, sections: parts.compactMap(\.self))
    }

    private func section(_ id: String, _ title: String, _ body: Markup?) -> ReportDocument.Section? {
        body.map { ReportDocument.Section(id: id, title: title, body: $0) }
    }

    /// When, with whom, on what.
    private var subtitle: String {
        var parts = ["run \(report.run)"]
        if let start = report.startedAt.map(ReportWords.minute) {
            let end = report.endedAt.map(ReportWords.minute)
            parts.append(end.map { "\(start) to \($0) UTC" } ?? "begun \(start) UTC")
        }
        if let origin = report.origin {
            parts.append(ReportWords.count(origin.workers, "worker", "workers"))
            parts.append("model \(origin.model)")
            parts.append("for \(origin.target)")
        }
        return parts.joined(separator: " · ")
    }

    private var notices: [String] {
        guard let state = report.state, state != "finished" else { return [] }
        let place = report.stagesPlanned.map { "stage \(min(max(1, report.stages.count), $0)) of \($0)" } ?? "a stage"
        let kind = report.stages.last.map { " (\($0.kind))" } ?? ""
        let how = state == "running" ? "The run has not finished" : "The run was stopped and can be resumed"
        return ["\(how): it is in \(place)\(kind). The figures are those of its ledger so far."]
    }

    /// The figures that a run is about, each with what it was before.
    private var gains: Markup {
        var cards = Markup()
        func card(_ name: String, _ figure: String?, _ beside: String?) {
            guard let figure else { return }
            cards += "<div><dt>\(name)</dt><dd>\(figure)</dd>"
            if let beside { cards += "<dd>\(beside)</dd>" }
            cards += "</div>\n"
        }
        let wire = report.wireBytesUp + report.wireBytesDown
        card(
            "Test accuracy", report.accuracyAfter.map(Figures.percent),
            ReportWords.accuracy(report.accuracyBefore, report.accuracyAfter))
        card(
            "Model file", Figures.bytes(report.bytesAfter),
            "from \(Figures.bytes(report.bytesBefore))\(ReportWords.smaller(report.bytesBefore, report.bytesAfter))")
        card(
            "Parameters", report.parametersAfter.map(ReportWords.amount),
            ReportWords.from(report.parametersBefore, report.parametersAfter))
        card(
            "Multiply-accumulates", report.macsAfter.map(Figures.amount),
            ReportWords.from(report.macsBefore, report.macsAfter))
        if report.sparsity > 0 { card("Masked weights", Figures.percent(report.sparsity), nil) }
        card(
            "Milliseconds a sample", report.millisecondsAfter.map(Figures.milliseconds),
            report.millisecondsBefore.map { "from \(Figures.milliseconds($0))" })
        card(
            "Bytes on the wire", Figures.bytes(wire),
            report.wireBytesFloat32 > 0
                ? "float32 averaging: \(Figures.bytes(report.wireBytesFloat32))"
                    + ReportWords.smaller(report.wireBytesFloat32, wire, "fewer") : nil)
        card("Time", Figures.seconds(report.seconds), "in \(ReportWords.count(report.rounds, "round", "rounds"))")
        return "<dl class=\"gains\">\(cards)</dl>\(timing)"
    }

    private var timing: Markup {
        if let runtime = report.runtime, let version = report.runtimeVersion {
            return "<p class=\"soft\">Milliseconds: one sample in \(runtime) \(version), one thread, median.</p>\n"
        }
        return report.notMeasured.map { "<p class=\"soft\">Milliseconds were not measured: \($0).</p>\n" } ?? ""
    }

    /// The whole run over its rounds; nil without any.
    private var rounds: Markup? {
        let curves = ReportCurves(report)
        guard !curves.rounds.isEmpty else { return nil }
        let comparesFloat32 = report.roundDetails.contains { $0.wireBytesFloat32 ?? 0 > 0 }
        let plots = [
            curves.accuracy("c-accuracy").markup, curves.loss("c-loss").markup,
            curves.bytes("c-bytes", comparesFloat32: comparesFloat32).markup,
        ].compactMap(\.self)
        var text = Markup("")
        if !plots.isEmpty { text += "<div class=\"plots\">\(plots)</div>\n" }
        let untold = report.rounds - report.roundDetails.count
        if untold > 0 {
            text += "<p class=\"soft\">The first \(Figures.count(untold)) rounds are not told one by one.</p>\n"
        }
        return text + roundTable(curves)
    }

    private func roundTable(_ curves: ReportCurves) -> Markup {
        var table = PageTable(
            "Rounds: what each moved and measured",
            ["round", "task ", "up", "down", "training loss", "test loss", "accuracy", "contributions", "refused"])
        let knowsWho = report.roundDetails.contains { $0.contributions != nil }
        for round in curves.rounds {
            table.rows.append([
                PageTable.Cell(round.first == round.last ? "\(round.first)" : "\(round.first) to \(round.last)"),
                PageTable.Cell(round.task), PageTable.Cell(Figures.bytes(round.wireBytesUp)),
                PageTable.Cell(Figures.bytes(round.wireBytesDown)),
                PageTable.Cell(round.trainingLoss.map(Figures.number)),
                PageTable.Cell(round.testLoss.map(Figures.number)),
                PageTable.Cell(round.accuracy.map(Figures.percent)),
                PageTable.Cell(knowsWho ? Figures.count(round.contributions) : nil),
                PageTable.Cell(knowsWho ? Figures.count(round.refusals) : nil),
            ])
        }
        return "<details><summary>As a table</summary>\(table.markup)</details>\n"
    }
}

extension Markup {
    static func + (left: Markup, right: Markup) -> Markup { Markup(left.text + right.text) }
}

extension Report {
    /// The bytes of `out/report.html`: they follow from those of `out/report.json` alone.
    public func page() -> [UInt8] {
        // What JSON cannot say is unknown in the one as in the other.
        let written = Report(parsing: Data(serialized())) ?? self
        return ReportPage(report: written).document.bytes
    }
}
