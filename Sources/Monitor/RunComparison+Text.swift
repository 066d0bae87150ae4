import Federation
import Foundation

// The comparison for a terminal and for machines.

extension RunComparison.Unit {
    func text(_ value: Double) -> String {
        let count = Int(exactly: value.rounded()) ?? .max
        return switch self {
        case .share: Figures.percent(value)
        case .bytes: Figures.bytes(count)
        case .count: ReportWords.amount(count)
        case .seconds: Figures.seconds(value)
        case .milliseconds: Figures.milliseconds(value)
        case .number: Figures.number(value)
        }
    }

    /// From one to the other, with its sign.
    func difference(_ a: Double, _ b: Double) -> String {
        switch self {
        case .share: return ReportWords.points(from: a, to: b)
        case .number: return a == b ? "0" : ReportWords.signed(b - a, "%.4g")
        case .bytes, .count, .seconds, .milliseconds:
            guard a != b else { return "0" }
            let sign = b > a ? "+" : "−"
            return sign + text(abs(b - a)) + (ReportWords.change(a, b).map { " (\($0))" } ?? "")
        }
    }
}

extension RunComparison.Figure {
    var cells: [String] {
        [
            a.map(unit.text) ?? "-", b.map(unit.text) ?? "-",
            a.flatMap { a in b.map { unit.difference(a, $0) } } ?? "-",
        ]
    }
}

extension RunComparison {
    /// Characters of a name in a table, and rows of layers and of settings that a terminal is given.
    private static let nameWidth = 36
    private static let valueWidth = 40
    private static let rowLimit = 60

    /// The lines, no newline at the end; names are escaped.
    public func text() -> String {
        var lines = [escapedForTerminal(verdict, limit: 600), table([""], figures.map { ([$0.label], $0) })]
        if let rows = Self.rows(stages), !rows.isEmpty { lines.append(table(["stage", "figure"], rows)) }
        if let stagesRemark { lines.append(escapedForTerminal(stagesRemark)) }
        if let rows = Self.rows(layers.filter(\.isDifferent)), !rows.isEmpty {
            lines.append(table(["weight", "figure"], rows))
        } else if !layers.isEmpty {
            lines.append("\(ReportWords.count(layers.count, "weight", "weights")) in both, with the same figures")
        }
        if !settings.isEmpty { lines.append(settingTable) }
        if let settingsRemark { lines.append(settingsRemark) }
        return lines.joined(separator: "\n")
    }

    private static func rows(_ parts: [Part]) -> [([String], Figure)]? {
        parts.flatMap { part in
            part.figures.filter { $0.a != $0.b || part.figures.count < 3 }.enumerated().map { index, figure in
                ([index == 0 ? part.name : "", figure.label], figure)
            }
        }
    }

    private func table(_ headings: [String], _ rows: [(names: [String], figure: Figure)]) -> String {
        var cells = [headings + [nameA, nameB, "difference"].map { shown($0, Self.valueWidth) }]
        for row in rows.prefix(Self.rowLimit) {
            cells.append(row.names.map { shown($0, Self.nameWidth) } + row.figure.cells)
        }
        let rest = rows.count > Self.rowLimit ? "\n\(rows.count - Self.rowLimit) more rows; --json has all" : ""
        return TextTable(rows: cells).text() + rest
    }

    private var settingTable: String {
        var cells = [["setting", nameA, nameB].map { shown($0, Self.valueWidth) }]
        for setting in settings.prefix(Self.rowLimit) {
            let (first, second) = ReportWords.apart(setting.a ?? "-", setting.b ?? "-", width: Self.valueWidth)
            cells.append([
                shown(setting.key, Self.nameWidth), shown(first, Self.valueWidth), shown(second, Self.valueWidth),
            ])
        }
        let rest =
            settings.count > Self.rowLimit ? "\n\(settings.count - Self.rowLimit) more settings; --json has all" : ""
        return TextTable(rows: cells).text() + rest
    }

    private func shown(_ text: String, _ limit: Int) -> String { escapedForTerminal(text, limit: limit) }

    /// Writes the page atomically and durably.
    public func writePage(to path: String) throws(MonitorError) { try DurableFile.write(page(), to: path) }

    /// JSON with sorted keys and a newline; names out of reports cannot move a terminal.
    public func json() -> [UInt8] {
        struct Whole: Encodable {
            var a: String
            var b: String
            var comparable: Bool
            var verdict: String
            var differences: [String]
            var figures: [Figure]
            var stages: [Part]
            var stagesRemark: String?
            var layers: [Part]
            var settings: [Setting]
            var settingsRemark: String?
        }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        let whole = Whole(
            a: nameA, b: nameB, comparable: isComparable, verdict: verdict, differences: differences, figures: figures,
            stages: stages, stagesRemark: stagesRemark, layers: layers, settings: settings,
            settingsRemark: settingsRemark)
        guard let data = try? encoder.encode(whole) else { preconditionFailure("finite figures can be encoded") }
        return Array(escapedJSON(String(decoding: data, as: UTF8.self)).utf8) + [UInt8(ascii: "\n")]
    }
}

extension RunComparison.Part {
    var isDifferent: Bool { figures.contains { $0.a != $0.b } }
}

extension RunComparison.Figure {
    private enum Key: String, CodingKey { case key, a, b, difference }

    /// Every key is there, null when not known.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Key.self)
        try container.encode(key, forKey: .key)
        try container.encode(a, forKey: .a)
        try container.encode(b, forKey: .b)
        try container.encode(difference, forKey: .difference)
    }
}
