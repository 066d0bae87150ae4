import UpdateCodec
import Yams

// A plan's text becomes a `Plan` here, or one sentence with the line that is wrong. Pure: the environment is an
// argument and no file is opened. Stages are read in `PlanStages.swift`; the format is `protocols/plan.md`.

extension Plan {
    /// Plans larger than this are refused; whoever reads the file should not read more.
    public static let maximumBytes = 1 << 20

    /// Reads a plan. `path` names it in errors and, when the plan has no name, names the run; relative `file:` entries
    /// are resolved against its folder. `environment` fills `${NAME}` and `${NAME:-default}` in paths and SPECs.
    ///
    /// - Throws: `PlanError` with the line: malformed YAML, unknown or missing keys, wrong types, values out of range,
    ///   stages that cannot follow each other.
    public static func parse(
        _ text: String, path: String, environment: [String: String]
    ) throws(PlanError) -> Plan {
        let root = try PlanSyntax.compose(text, path: path)
        let reader = PlanReader(path: path, environment: environment)
        let top = try PlanSection(root, path: path, place: "the plan", line: 1, keys: PlanKeys.plan)
        let stages = try reader.stages(in: top)
        let fleet = try reader.fleet(in: top)
        try reader.check(stages, fleet, in: top)
        let publicData = try reader.data(in: top, key: "public")
        try reader.checkEnsembles(stages, fleet, in: top)
        return Plan(
            name: try reader.name(in: top),
            seed: try top.unsigned("seed", default: 0),
            model: try reader.model(in: top),
            keepEvery: try reader.keepEvery(in: top),
            data: try reader.data(in: top),
            publicData: publicData,
            fleet: fleet,
            wire: try reader.wire(in: top),
            limits: try reader.limits(in: top),
            stages: stages,
            export: try reader.export(in: top, isQuantized: stages.contains { $0.kind == "quantize" }))
    }
}

/// Turns the sections of one plan into values.
struct PlanReader {
    let path: String
    let environment: [String: String]

    /// 1 to 64 letters, digits, `.`, `_` or `-`: names go into file names, logs and metrics.
    func name(in top: PlanSection) throws(PlanError) -> String {
        let isAllowed = { (character: Character) in
            character.isASCII && (character.isLetter || character.isNumber || "._-".contains(character))
        }
        guard let name = try top.text("name", "a word") else {
            let file = path.split(separator: "/").last.map(String.init) ?? "plan"
            let stem = file.lastIndex(of: ".").map { String(file[..<$0]) } ?? file
            let name = String(stem.prefix(64).map { isAllowed($0) ? $0 : "-" })
            return name.isEmpty ? "plan" : name
        }
        guard name.count <= 64, name.allSatisfy(isAllowed) else {
            throw top.error("name", "'name' must be 1 to 64 letters, digits, '.', '_' or '-', found '\(name.clipped)'")
        }
        return name
    }

    func model(in top: PlanSection) throws(PlanError) -> ModelSource {
        guard let section = try top.section("model", place: "model", keys: PlanKeys.model) else {
            throw top.missing("model", hint: "write model: {architecture: cnn} or model: {file: model.onnx}")
        }
        if section.has("file") {
            for key in ["architecture", "input", "classes", "width"] where section.has(key) {
                throw section.error(key, "'\(key)' and 'file' in model exclude each other; keep one")
            }
            return .file(try file(in: section))
        }
        let names = PlanWords.architectures
        guard let architecture = try section.choice("architecture", Choices(known: names.map { ($0, $0) })) else {
            throw section.missing("architecture", hint: "name \(names.joined(separator: ", ")), or give 'file'")
        }
        let (counts, meaning): ([Int], String) =
            switch architecture {
            case "mlp": ([1, 3], "[features] or [channels, height, width]")
            case "transformer": ([1, 2], "[length] or [length, vocabulary]")
            default: ([3], "[channels, height, width]")
            }
        let input = try section.integers("input", 1...65536, counts: counts, meaning: meaning)
        return .architecture(
            name: architecture,
            options: ArchitectureOptions(
                inputShape: input, classes: try section.integer("classes", 2...100_000),
                width: try section.integer("width", 1...4096)))
    }

    func keepEvery(in top: PlanSection) throws(PlanError) -> Int? {
        try top.section("model", place: "model", keys: PlanKeys.model)?.integer("keepEvery", 2...1000)
    }

    /// The `file` of a section, expanded and resolved.
    func file(in section: PlanSection) throws(PlanError) -> String {
        guard let text = try section.text("file", "a path") else {
            throw section.missing("file", hint: "give the path of an ONNX file")
        }
        return try file(text, "file", in: section)
    }

    /// A path that stands in a section, expanded and resolved.
    func file(_ text: String, _ key: String, in section: PlanSection) throws(PlanError) -> String {
        resolved(try expanded(text, key, in: section))
    }

    /// Relative paths are meant from the plan's folder.
    func resolved(_ file: String) -> String {
        if file.hasPrefix("/") { return file }
        guard let slash = path.lastIndex(of: "/") else { return file }
        return String(path[...slash]) + file
    }

    /// - Parameter key: whose data: `data` for the private sets, `public` for the set that all have.
    func data(in top: PlanSection, key: String = "data") throws(PlanError) -> String? {
        guard let text = try top.text(key, "a data SPEC") else { return nil }
        let spec = try expanded(text, key, in: top)
        guard let colon = spec.firstIndex(of: ":"), colon != spec.startIndex else {
            throw top.error(
                key, "'\(key)' must be a SPEC such as idx:FOLDER or synthetic:digits, found '\(spec.clipped)'")
        }
        return spec
    }

    func expanded(_ text: String, _ key: String, in section: PlanSection) throws(PlanError) -> String {
        let result: String
        do throws(PlanExpansion.Failure) {
            result = try PlanExpansion.expand(text, environment)
        } catch {
            throw section.error(key, "'\(key)' in \(section.place) \(error.message)")
        }
        guard !result.isEmpty else {
            throw section.error(key, "'\(key)' in \(section.place) is empty once its variables are replaced")
        }
        return result
    }
}
