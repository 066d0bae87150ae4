// Holds log lines against `protocols/log-events.schema.json`: the part of JSON Schema (draft 2020-12) that the file uses.
// Strict: a keyword that is not known here, or a reference to nothing, is an error when the schema is read.

import Foundation

public struct EventSchema: Sendable {
    public struct Fault: Error, CustomStringConvertible {
        public var description: String
    }

    public let root: JSONValue
    private static let annotations: Set = ["$schema", "$id", "title", "description"]
    private static let keywords: Set = [
        "$ref", "$defs", "type", "enum", "const", "required", "properties", "additionalProperties", "items", "maxItems",
        "minimum", "maximum", "minLength", "maxLength", "pattern", "allOf", "if", "then",
    ]

    public init(root: JSONValue) throws {
        self.root = root
        try audit(root, at: "#")
    }

    /// The repository's own.
    public static func ofRepository() throws -> EventSchema {
        let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let file = folder.appendingPathComponent("protocols/log-events.schema.json")
        return try EventSchema(root: try JSONValue(parsing: try String(contentsOf: file, encoding: .utf8)))
    }

    /// The names of all events it knows.
    public var events: [String] { root["properties"]?["event"]?["enum"]?.array?.compactMap(\.string) ?? [] }

    /// What one event looks like.
    public func definition(of event: String) -> JSONValue? { root["$defs"]?[event] }

    /// The schema behind a chain of references.
    public func resolved(_ schema: JSONValue) -> JSONValue {
        guard let reference = schema["$ref"]?.string, let target = target(of: reference) else { return schema }
        return resolved(target)
    }

    /// What is wrong with one line, nil when nothing is.
    public func complaint(about line: String) -> String? {
        guard let value = try? JSONValue(parsing: line) else { return "it is no JSON: \(line.prefix(300))" }
        return complaint(about: value, root, at: "").map { "\($0) in \(line.prefix(600))" }
    }

    private func target(of reference: String) -> JSONValue? {
        guard reference.hasPrefix("#/$defs/") else { return nil }
        return root["$defs"]?[String(reference.dropFirst("#/$defs/".count))]
    }

    private func audit(_ schema: JSONValue, at place: String) throws {
        guard let members = schema.object else { throw Fault(description: "\(place) is no schema") }
        for (key, value) in members where !Self.annotations.contains(key) {
            guard Self.keywords.contains(key) else {
                throw Fault(description: "\(place) has the unknown keyword \(key)")
            }
            let place = "\(place)/\(key)"
            switch key {
            case "$ref":
                guard value.string.flatMap(target) != nil else { throw Fault(description: "\(place) leads nowhere") }
            case "$defs", "properties":
                for (name, schema) in value.object ?? [:] { try audit(schema, at: "\(place)/\(name)") }
            case "allOf": for schema in value.array ?? [] { try audit(schema, at: place) }
            case "items", "if", "then": try audit(value, at: place)
            case "additionalProperties" where value != .bool(false):
                throw Fault(description: "\(place) is something else than false")
            case "pattern":
                guard let text = value.string, (try? Regex(text)) != nil else {
                    throw Fault(description: "\(place) is no regular expression")
                }
            default: break
            }
        }
    }
}
