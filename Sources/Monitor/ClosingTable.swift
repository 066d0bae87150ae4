/// Labels with a figure before and after, aligned for a terminal.
public struct ClosingTable: Sendable {
    public typealias Row = (label: String, before: String, after: String)

    public var headings: Row
    public var rows: [Row]

    public init(headings: Row = ("", "before", "after"), rows: [Row]) {
        self.headings = headings
        self.rows = rows
    }

    /// The lines, no newline at the end: labels on the left, figures on the right; names are escaped.
    public func text() -> String {
        TextTable(rows: ([headings] + rows).map { [$0.label, $0.before, $0.after] }).text()
    }
}

/// Rows of as many cells each, aligned for a terminal; the first row is the headings, the first column the labels.
struct TextTable {
    var rows: [[String]]

    /// The lines, no newline at the end: labels on the left, figures on the right; everything is escaped.
    func text() -> String {
        let cells = rows.map { $0.map { escapedForTerminal($0) } }
        let columns = cells.map(\.count).min() ?? 0
        guard columns > 0 else { return "" }
        let widths = (0..<columns).map { column in cells.map { terminalWidth($0[column]) }.max() ?? 0 }
        let lines = cells.map { row in
            row[0] + padding(widths[0] - terminalWidth(row[0]))
                + (1..<columns).map { "  " + padding(widths[$0] - terminalWidth(row[$0])) + row[$0] }.joined()
        }
        let rule = String(repeating: "─", count: widths.reduce(2 * (columns - 1), +))
        return ([rule, lines[0], rule] + lines.dropFirst() + [rule]).joined(separator: "\n")
    }

    private func padding(_ count: Int) -> String { String(repeating: " ", count: max(0, count)) }
}

/// Columns that escaped text takes: East Asian wide characters and emoji take two, combining marks none.
func terminalWidth(_ text: String) -> Int {
    text.unicodeScalars.reduce(0) { $0 + terminalWidth($1) }
}

func terminalWidth(_ scalar: Unicode.Scalar) -> Int {
    switch scalar.properties.generalCategory {
    case .nonspacingMark, .enclosingMark: return 0
    default: break
    }
    switch scalar.value {
    case 0x1100...0x115F, 0x2E80...0xA4CF, 0xAC00...0xD7A3, 0xF900...0xFAFF, 0xFE30...0xFE6F, 0xFF00...0xFF60,
        0xFFE0...0xFFE6, 0x1F300...0x1FAFF, 0x20000...0x3FFFD:
        return 2
    default: return 1
    }
}
