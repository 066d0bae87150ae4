// How to make the run again, and how to tell that it is the same.

extension ReportPage {
    var again: Markup? {
        guard let origin = report.origin else { return files }
        var terms = Markup()
        func term(_ name: String, _ value: String?) {
            if let value { terms += "<div><dt>\(name)</dt><dd><code>\(value)</code></dd></div>\n" }
        }
        term("Pleach", origin.software)
        term("Seed", origin.seed)
        term("Model", origin.model)
        term("Model's first snapshot, SHA-256", origin.openingSnapshot)
        term("Data", origin.data ?? "each worker's own")
        term("Plan, SHA-256", origin.planDigest)
        let plan = Self.quoted(origin.planPath ?? "plan.yaml")
        let commands = """
            # all on one machine
            pleach run \(plan) --workers \(origin.workers)
            # or with workers of your own
            pleach coordinator \(plan)
            """
        var text: Markup = """
            <pre tabindex="0" aria-label="Commands">\(Markup.lines(commands))</pre>
            <dl>\(terms)</dl>
            \(files ?? "")
            """
        if let planText = origin.planText {
            text += """
                <details><summary>The plan</summary><pre tabindex="0" aria-label="The plan">\(Markup.lines(planText))</pre>\
                </details>

                """
        }
        return text
    }

    private var files: Markup? {
        guard !report.files.isEmpty else { return nil }
        var table = PageTable("Files in out/", ["file", "bytes", "SHA-256 "])
        for file in report.files.prefix(20) {
            table.rows.append([
                PageTable.Cell(file.name), PageTable.Cell(Figures.count(file.bytes)), PageTable.Cell(file.sha256),
            ])
        }
        return table.markup
    }

    /// For a shell, where it needs it.
    private static func quoted(_ path: String) -> String {
        let isPlain = path.unicodeScalars.allSatisfy {
            $0.isASCII && ($0.properties.isAlphabetic || "0123456789._-/~+".unicodeScalars.contains($0))
        }
        return isPlain && !path.isEmpty ? path : "'" + path.replacing("'", with: "'\\''") + "'"
    }
}
