/// A terminal of so many columns and rows in memory: printed characters, carriage return, newline, and the three escape
/// sequences the renderer may use. Anything else is counted as a fault.
struct FakeTerminal {
    let columns: Int
    let rows: Int
    /// Lines that have scrolled away, and those on the screen.
    private(set) var lines: [[Character]] = [[]]
    private(set) var faults = 0
    private var row = 0
    private var column = 0

    init(columns: Int, rows: Int) {
        self.columns = columns
        self.rows = rows
    }

    /// What can be read, without spaces at the ends of lines.
    var text: [String] {
        lines.map { line in
            var line = line
            while line.last == " " { line.removeLast() }
            return String(line)
        }
    }

    mutating func write(_ text: String) {
        var rest = Array(text.unicodeScalars)[...]
        while let scalar = rest.popFirst() {
            switch scalar {
            case "\r": column = 0
            case "\n": (row, column) = (row + 1, 0)
            case "\u{1B}": escape(&rest)
            default: put(Character(scalar))
            }
            while row >= lines.count { lines.append([]) }
        }
    }

    private mutating func put(_ character: Character) {
        if column == columns {
            (row, column) = (row + 1, 0)
            while row >= lines.count { lines.append([]) }
        }
        while lines[row].count <= column { lines[row].append(" ") }
        lines[row][column] = character
        column += 1
    }

    /// `ESC [ n A` up, `ESC [ 2 K` erase the line, `ESC [ ... m` colours.
    private mutating func escape(_ rest: inout ArraySlice<Unicode.Scalar>) {
        guard rest.popFirst() == "[" else {
            faults += 1
            return
        }
        var parameter = ""
        while let scalar = rest.popFirst() {
            guard !scalar.properties.isAlphabetic else {
                switch (parameter, scalar) {
                case (_, "A"):
                    row -= Int(parameter) ?? 1
                    // What has scrolled away cannot be reached any more.
                    if row < max(0, lines.count - rows) { faults += 1 }
                    row = max(0, row)
                case ("2", "K"): lines[row] = []
                case (_, "m"): break
                default: faults += 1
                }
                return
            }
            parameter.unicodeScalars.append(scalar)
        }
        faults += 1
    }
}
