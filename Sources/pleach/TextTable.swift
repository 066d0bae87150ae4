import Monitor

/// Rows of columns for a terminal. Cells may come from a file, so what a terminal would obey is escaped.
struct TextTable {
    private var rows: [[String]]
    /// Columns of numbers, which end below each other.
    private let numbers: Set<Int>

    private let cellWidth: Int

    /// - Parameter cellWidth: longer cells are cut. Names are for typing them again, so few are.
    init(_ headings: [String], numbers: Set<Int> = [], cellWidth: Int = 120) {
        rows = [headings]
        self.numbers = numbers
        self.cellWidth = cellWidth
    }

    mutating func add(_ cells: [String]) { rows.append(cells.map { escapedForTerminal($0, limit: cellWidth) }) }

    var isEmpty: Bool { rows.count == 1 }

    var lines: [String] {
        let columns = rows.map(\.count).max() ?? 0
        let widths = (0..<columns).map { column in rows.map { column < $0.count ? $0[column].count : 0 }.max() ?? 0 }
        return rows.map { row in
            row.enumerated().map { column, cell in
                let space = String(repeating: " ", count: widths[column] - cell.count)
                // Nothing follows the last column.
                return numbers.contains(column) ? space + cell : column == row.count - 1 ? cell : cell + space
            }.joined(separator: "  ")
        }
    }
}
