import EventSchema
import Foundation

/// `protocols/log-events.md` as data: its headings and tables.
struct EventCatalogue {
    struct Field: Equatable {
        var name: String
        /// The catalogue's word; nil where the table refers to another event's.
        var type: String?
        var isOptional: Bool
    }

    struct Entry: Equatable {
        var name: String
        /// In the order of severity.
        var levels: [String]
        var fields: [Field] = []
    }

    private(set) var entries: [Entry] = []

    init(at file: URL) throws {
        var open: [Entry] = []
        for line in try String(contentsOf: file, encoding: .utf8).split(separator: "\n") {
            if line.hasPrefix("#") {
                entries += open
                open = line.hasPrefix("### ") ? Self.headed(line) : []
            } else if line.hasPrefix("| `") {
                for index in open.indices { open[index].fields += Self.fields(line) }
            }
        }
        entries += open
    }

    /// `` ### `worker.left`, `worker.lost` (warning) ``
    private static func headed(_ line: Substring) -> [Entry] {
        let names = line.matches(of: /`([a-z.]+)`/).map { String($0.output.1) }
        let words = line.firstMatch(of: /\(([a-z, ]+)\)$/).map { String($0.output.1) } ?? "info"
        let all = ["debug", "info", "warning", "error"]
        let levels = words == "any level" ? all : words.components(separatedBy: ", ")
        return names.map { Entry(name: $0, levels: levels) }
    }

    /// ``| `macsBefore`, `macs` ° | integer | ... |``: every field of a row shares its mark.
    private static func fields(_ line: Substring) -> [Field] {
        let cells = line.split(separator: "|", omittingEmptySubsequences: false).map {
            $0.trimmingCharacters(in: .whitespaces)
        }
        guard cells.count >= 4 else { return [] }
        let type = cells[2].isEmpty ? nil : cells[2]
        return cells[1].matches(of: /`([a-zA-Z]+)`/).map {
            Field(name: String($0.output.1), type: type, isOptional: cells[1].hasSuffix("°"))
        }
    }

    /// The catalogue's word for what a schema allows.
    static func type(of schema: JSONValue, in whole: EventSchema) -> String {
        let schema = whole.resolved(schema)
        if schema["enum"] != nil { return "text" }
        let types = schema["type"]?.string.map { [$0] } ?? schema["type"]?.array?.compactMap(\.string) ?? []
        switch types {
        case ["string"]: return "text"
        case ["integer"]: return "integer"
        case ["number", "null"]: return "number"
        case ["array"]: return (schema["items"].map { type(of: $0, in: whole) } ?? "?") + "s"
        default: return "\(types)"
        }
    }
}
