import Yams

/// YAML text to a tree of nodes, before any key is looked at: bounded in size, without anchors and aliases.
enum PlanSyntax {
    /// More aliases than this are refused before composing: each doubles what a hostile tree can expand to.
    private static let maximumAliases = 16

    static func compose(_ text: String, path: String) throws(PlanError) -> Node {
        guard text.utf8.count <= Plan.maximumBytes else {
            throw PlanError(
                path: path, line: nil,
                message: "the plan has \(text.utf8.count) bytes, the limit is \(Plan.maximumBytes); is this a plan?")
        }
        guard countAliases(text) <= maximumAliases else { throw aliasError(path, line: nil) }
        let root: Node?
        let anchorLine: Int?
        do {
            // The encoding is given so that no environment variable of the YAML library can change it.
            let parser = try Parser(yaml: text, encoding: .utf8)
            root = try parser.singleRoot()
            // Nodes hold their anchors weakly; the parser owns them.
            anchorLine = withExtendedLifetime(parser) { root.flatMap(firstAnchorLine) }
        } catch let error as YamlError {
            throw planError(error, text: text, path: path)
        } catch {
            throw PlanError(path: path, line: nil, message: "malformed YAML: \(error)")
        }
        if let anchorLine { throw aliasError(path, line: anchorLine) }
        guard let root, root.summary != "no value" else {
            throw PlanError(path: path, line: 1, message: "the plan is empty; it needs 'model' and 'stages'")
        }
        return root
    }

    private static func aliasError(_ path: String, line: Int?) -> PlanError {
        PlanError(
            path: path, line: line,
            message: "anchors and aliases (&name, *name) are not part of a plan; write the values out")
    }

    /// Places that may be aliases: `*` and a name at the start of a word. Quoted text and comments count too, which
    /// the limit leaves room for.
    private static func countAliases(_ text: String) -> Int {
        var count = 0
        var previous: UInt8 = 0x20
        var isStar = false
        for byte in text.utf8 {
            let isSeparator = byte <= 0x20 || "[]{},:?-".utf8.contains(byte)
            if isStar, !isSeparator, byte != UInt8(ascii: "*") { count += 1 }
            let startsWord = previous <= 0x20 || "[]{},:?-".utf8.contains(previous)
            isStar = byte == UInt8(ascii: "*") && startsWord
            previous = byte
        }
        return count
    }

    private static func firstAnchorLine(_ node: Node) -> Int? {
        switch node {
        case .scalar(let scalar): return scalar.anchor == nil ? nil : scalar.mark?.line ?? 1
        case .alias(let alias): return alias.mark?.line ?? 1
        case .sequence(let sequence):
            if sequence.anchor != nil { return sequence.mark?.line ?? 1 }
            for element in sequence { if let line = firstAnchorLine(element) { return line } }
            return nil
        case .mapping(let mapping):
            if mapping.anchor != nil { return mapping.mark?.line ?? 1 }
            for (key, value) in mapping {
                if let line = firstAnchorLine(key) ?? firstAnchorLine(value) { return line }
            }
            return nil
        }
    }

    private static func planError(_ error: YamlError, text: String, path: String) -> PlanError {
        switch error {
        case .scanner(let context, let problem, let mark, _), .parser(let context, let problem, let mark, _),
            .composer(let context, let problem, let mark, _):
            let during = context.map { " (\($0.text), line \($0.mark.line))" } ?? ""
            return PlanError(
                path: path, line: mark.line, column: mark.column, message: "malformed YAML: \(problem)\(during)")
        case .reader(let problem, let offset, _, _):
            let line = offset.map { 1 + text.prefix($0).count(where: \.isNewline) }
            return PlanError(path: path, line: line, message: "malformed YAML: \(problem)")
        case .duplicatedKeysInMapping(let duplicates, let context):
            return PlanError(
                path: path, line: context.mark.line,
                message: "key '\((duplicates.first ?? "").clipped)' is written twice; keep one")
        case .no, .memory, .writer, .emitter, .representer, .dataCouldNotBeDecoded:
            return PlanError(path: path, line: nil, message: "malformed YAML")
        }
    }
}
