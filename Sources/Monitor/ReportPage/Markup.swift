// Pages of a report are documents without a script, in HTML that is XML too: every element is closed, every value quoted, so a
// parser of XML reads them (Tests/MonitorTests) and no browser has to guess. A page is a function of the report alone.

/// Text that is markup. What is put into a literal of it is escaped there, so that a name is never markup whatever it holds.
struct Markup: ExpressibleByStringInterpolation, Equatable {
    var text: String

    init(_ text: String = "") { self.text = text }
    init(stringLiteral value: String) { text = value }
    init(stringInterpolation: Interpolation) { text = stringInterpolation.text }

    struct Interpolation: StringInterpolationProtocol {
        fileprivate var text = ""

        init(literalCapacity: Int, interpolationCount: Int) { text.reserveCapacity(literalCapacity) }

        mutating func appendLiteral(_ literal: String) { text += literal }
        mutating func appendInterpolation(_ value: String) { text += Markup.escaped(value) }
        mutating func appendInterpolation(_ value: Int) { text += String(value) }
        mutating func appendInterpolation(_ markup: Markup) { text += markup.text }
        mutating func appendInterpolation(_ markup: [Markup]) { for part in markup { text += part.text } }
    }

    static func += (left: inout Markup, right: Markup) { left.text += right.text }

    /// Most characters of one name or sentence that are shown.
    static let textLimit = 400

    /// Text for between tags and within quotes: what markup means is spelt as entities, and what hides or turns a line, or
    /// is no character of XML, as on a terminal.
    static func escaped(_ text: String, limit: Int = textLimit) -> String {
        var shown = ""
        for character in escapedForTerminal(text, limit: limit).unicodeScalars {
            switch character {
            case "&": shown += "&amp;"
            case "<": shown += "&lt;"
            case ">": shown += "&gt;"
            case "\"": shown += "&quot;"
            case "'": shown += "&#39;"
            default: shown.unicodeScalars.append(character)
            }
        }
        return shown
    }

    /// Text of several lines as it is, for `pre`; tabs become spaces.
    static func lines(_ text: String) -> Markup {
        let plain = text.replacing("\r\n", with: "\n").replacing("\t", with: "    ")
        return Markup(
            plain.split(separator: "\n", omittingEmptySubsequences: false).map { escaped(String($0), limit: 1000) }
                .joined(separator: "\n"))
    }
}
