import Tensors
import Yams

/// One mapping of a plan, read strictly: unknown keys are refused on opening, values when they are asked for.
struct PlanSection {
    struct Entry {
        let line: Int
        let node: Node
    }

    let path: String
    /// How messages name this mapping: `fleet`, `stage 'train'`.
    let place: String
    let line: Int
    private let keys: [String]
    private let entries: [String: Entry]

    /// - Throws: `PlanError` when `node` is no mapping or holds a key outside `keys`.
    init(_ node: Node, path: String, place: String, line: Int, keys: [String]) throws(PlanError) {
        guard let mapping = node.mapping else {
            throw PlanError(
                path: path, line: line,
                message: "\(place) must be a mapping of keys to values, found \(node.summary)")
        }
        var entries: [String: Entry] = [:]
        for (key, value) in mapping {
            let keyLine = key.mark?.line ?? line
            guard let name = key.scalar?.string else {
                throw PlanError(path: path, line: keyLine, message: "a key in \(place) must be a plain word")
            }
            guard keys.contains(name) else {
                let mend = PlanSection.mend(name, in: keys, listing: "known")
                throw PlanError(
                    path: path, line: keyLine, message: "unknown key '\(name.clipped)' in \(place); \(mend)")
            }
            entries[name] = Entry(line: keyLine, node: value)
        }
        self.init(path: path, place: place, line: line, keys: keys, entries: entries)
    }

    private init(path: String, place: String, line: Int, keys: [String], entries: [String: Entry]) {
        self.path = path
        self.place = place
        self.line = line
        self.keys = keys
        self.entries = entries
    }

    /// A section that is not written: every key has its default.
    static func absent(path: String, place: String, line: Int, keys: [String]) -> PlanSection {
        PlanSection(path: path, place: place, line: line, keys: keys, entries: [:])
    }

    /// The key's entry, or nil when it is not written.
    subscript(key: String) -> Entry? {
        precondition(keys.contains(key), "key '\(key)' of \(place) is missing from PlanKeys")
        return entries[key]
    }

    func has(_ key: String) -> Bool { self[key] != nil }

    /// An error at the key's line, or at the section's when the key is not written.
    func error(_ key: String, _ message: String) -> PlanError {
        PlanError(path: path, line: self[key]?.line ?? line, message: message)
    }

    /// `'key' in place must be ..., found ...`.
    func mismatch(_ key: String, _ wanted: String, _ entry: Entry) -> PlanError {
        error(key, "'\(key)' in \(place) must be \(wanted), found \(entry.node.summary)")
    }

    func missing(_ key: String, hint: String) -> PlanError {
        PlanError(path: path, line: line, message: "\(place) lacks the key '\(key)': \(hint)")
    }

    /// The mapping under a key, or nil when it is not written.
    func section(_ key: String, place: String, keys: [String]) throws(PlanError) -> PlanSection? {
        guard let entry = self[key] else { return nil }
        return try PlanSection(entry.node, path: path, place: place, line: entry.line, keys: keys)
    }

    /// `did you mean ...?` or the list of what there is.
    static func mend(_ word: String, in candidates: [String], listing: String) -> String {
        if let name = NearestName.suggestion(for: word, in: candidates) { return "did you mean '\(name)'?" }
        return "\(listing): \(candidates.joined(separator: ", "))"
    }
}

extension Node {
    /// What stands there, for messages: one short line.
    var summary: String {
        switch self {
        case .scalar(let scalar):
            if scalar.style == .plain, ["", "~", "null"].contains(scalar.string) { return "no value" }
            return scalar.style == .plain ? "'\(scalar.string.clipped)'" : "the text \"\(scalar.string.clipped)\""
        case .sequence(let sequence): return "a list of \(sequence.count)"
        case .mapping: return "a mapping"
        case .alias: return "an alias"
        }
    }
}

extension String {
    /// At most 60 characters, none of them a control character: user text inside a one-line message.
    var clipped: String {
        let isControl = { (character: Character) in
            character.unicodeScalars.contains { $0.properties.generalCategory == .control }
        }
        return String(prefix(60).map { isControl($0) ? "?" : $0 }) + (count > 60 ? "..." : "")
    }
}
