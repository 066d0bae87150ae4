import Federation

// Who took part: those that were refused and those that gave most, the others added up.

extension ReportPage {
    var fleet: Markup? {
        guard !report.workers.isEmpty || !report.refusals.isEmpty else { return nil }
        var text = Markup()
        if !report.workers.isEmpty { text += workerTable }
        return text + refusalTables
    }

    private var workerTable: Markup {
        var table = PageTable(
            "Workers", ["worker", "contributions", "samples", "bytes sent", "time at work", "refused"])
        let most = report.workers.map(\.contributions).max() ?? 0
        func add(_ name: String, _ worker: Report.Worker, hasBar: Bool) {
            table.rows.append([
                PageTable.Cell(name),
                PageTable.Cell(
                    Figures.count(worker.contributions),
                    share: hasBar && most > 0 ? Double(worker.contributions) / Double(most) : nil),
                PageTable.Cell(worker.samples.map(Figures.count)), PageTable.Cell(Figures.bytes(worker.bytes)),
                PageTable.Cell(Figures.seconds(worker.seconds)), PageTable.Cell(Figures.count(worker.refusals)),
            ])
        }
        let sorted = report.workers.sorted {
            ($1.refusals, $1.contributions, $0.name) < ($0.refusals, $0.contributions, $1.name)
        }
        let isWhole = sorted.count <= Self.workerRows
        for worker in sorted.prefix(isWhole ? sorted.count : Self.workerRows - 1) {
            add(worker.name, worker, hasBar: true)
        }
        if !isWhole {
            let others = sorted.dropFirst(Self.workerRows - 1)
            var sum = Report.Worker(name: "", contributions: 0, refusals: 0, samples: nil, bytes: 0, seconds: 0)
            for worker in others {
                sum.contributions += worker.contributions
                sum.refusals += worker.refusals
                sum.bytes += worker.bytes
                sum.seconds += worker.seconds
            }
            add("\(Figures.count(others.count)) others, together", sum, hasBar: false)
        }
        let untold = (report.workersTotal ?? 0) - report.workers.count
        let rest: Markup =
            untold > 0 ? "<p class=\"soft\">\(Figures.count(untold)) more workers are not told.</p>\n" : ""
        return table.markup + rest
    }

    private var refusalTables: Markup {
        guard !report.refusals.isEmpty else { return "" }
        var kinds = PageTable("Why contributions were refused", ["reason", "how often"])
        for refusal in report.refusals {
            kinds.rows.append([PageTable.Cell(refusal.kind.rawValue), PageTable.Cell(Figures.count(refusal.count))])
        }
        guard !report.newestRefusals.isEmpty else { return kinds.markup }
        var newest = PageTable("The last refusals", ["round", "worker ", "reason "])
        for entry in report.newestRefusals.prefix(RefusalLog.newestLimit) {
            newest.rows.append([
                PageTable.Cell("\(entry.round)"), PageTable.Cell(entry.worker), PageTable.Cell(entry.reason),
            ])
        }
        return kinds.markup + newest.markup
    }
}
