/// A table of a report's page: a caption, a row of headings, rows whose first cell names them. It scrolls in a box of its own
/// where the window is narrow.
struct PageTable {
    /// One column. Columns in which nothing is known are left out.
    struct Column {
        var heading: String
        /// Figures end below each other.
        var isNumber = true
    }

    /// A figure with a bar behind it, or text.
    struct Cell: ExpressibleByStringInterpolation {
        var text: String
        /// 0 to 1.
        var share: Double?

        init(stringLiteral value: String) { self.init(value) }

        /// - Parameter text: nil is unknown.
        init(_ text: String?, share: Double? = nil) {
            self.text = text ?? Self.unknown
            self.share = share.finite
        }

        static let unknown = "–"
        var isKnown: Bool { text != Self.unknown && !text.isEmpty }
    }

    var caption: String
    var columns: [Column]
    var rows: [[Cell]] = []

    /// - Parameter headings: the first is that of the rows' names; of the others those are text that end with a space.
    init(_ caption: String, _ headings: [String]) {
        self.caption = caption
        columns = headings.enumerated().map { place, heading in
            Column(
                heading: heading.hasSuffix(" ") ? String(heading.dropLast()) : heading,
                isNumber: place > 0 && !heading.hasSuffix(" "))
        }
    }

    var markup: Markup {
        let shown = columns.indices.filter { column in
            column == 0 || rows.isEmpty || rows.contains { column < $0.count && $0[column].isKnown }
        }
        let headings = shown.map { column -> Markup in
            "<th scope=\"col\"\(Self.kind(columns[column]))>\(columns[column].heading)</th>"
        }
        let body = rows.map { row -> Markup in
            let cells = shown.map { column -> Markup in
                guard column < row.count else { return "<td></td>" }
                return column == 0 ? Self.name(row[0]) : Self.figure(row[column], columns[column])
            }
            return "<tr>\(cells)</tr>\n"
        }
        return """
            <div class="scroll" tabindex="0" role="region" aria-label="\(caption)"><table><caption>\(caption)</caption>
            <thead><tr>\(headings)</tr></thead>
            <tbody>\(body)</tbody></table></div>

            """
    }

    private static func name(_ cell: Cell) -> Markup { "<th scope=\"row\">\(cell.text)</th>" }

    private static func figure(_ cell: Cell, _ column: Column) -> Markup {
        "<td\(kind(column))>\(cell.text)\(cell.share.map(bar) ?? "")</td>"
    }

    private static func kind(_ column: Column) -> Markup { column.isNumber ? " class=\"n\"" : " class=\"text\"" }

    /// Drawn, not a background: printers leave those out.
    private static func bar(_ share: Double) -> Markup {
        let width = Markup(SVG.number(100 * min(1, max(0, share))))
        return """
            <svg class="bar" viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true"><rect class="rail" \
            width="100" height="6"/><rect class="fill" width="\(width)" height="6"/></svg>
            """
    }
}
