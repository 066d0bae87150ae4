import Foundation
import Testing
import UpdateCodec

@testable import Federation

/// `protocols/plan.md` is a promise to users: its example must parse and its tables must be the reader's own.
@Suite struct PlanDocumentTests {
    let root: URL
    let document: String

    init() throws {
        var folder = URL(filePath: #filePath).deletingLastPathComponent()
        while !FileManager.default.fileExists(atPath: folder.appending(path: "protocols/plan.md").path) {
            try #require(folder.path != "/", "protocols/plan.md is missing")
            folder.deleteLastPathComponent()
        }
        root = folder
        document = try String(contentsOf: folder.appending(path: "protocols/plan.md"), encoding: .utf8)
    }

    @Test func exampleParses() throws {
        let text = try #require(document.components(separatedBy: "```yaml\n").dropFirst().first)
        let example = try #require(text.components(separatedBy: "```").first)
        let plan = try Plan.parse(example, path: "plan.yaml", environment: [:])
        #expect(plan.name == "mnist-compact")
        #expect(plan.stages.map(\.kind) == ["train", "evaluate", "prune", "distill", "quantize", "evaluate"])
        #expect(plan.data == "idx:../shared/data/mnist?partition=dirichlet:0.5&seed=7")
        #expect(plan.wire.up.selection == .topK(density: 0.05))
        #expect(plan.roundsPlanned == (8 + 1) + 1 + (4 + 1) + (3 + 1) + (1 + 1) + 1)
    }

    /// The parts of plans that stand between the tables.
    @Test func fragmentsParse() throws {
        let fragments = document.components(separatedBy: "```yaml\n").dropFirst(2)
            .compactMap { $0.components(separatedBy: "```").first }
        let wires = try fragments.map { try Plan.parse(planText($0), path: "p", environment: [:]).wire }
        #expect(wires.map(\.up.budget) == [200_000, 500_000])
        #expect(wires.map(\.down.budget) == [200_000, nil])
        #expect(wires[1].down == WireScheme(selection: .topK(density: 0.2), values: .int6))
    }

    @Test func examplePlansParse() throws {
        let folder = root.appending(path: "Examples")
        let names = try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted()
        let plans = try names.flatMap { name in
            let files = try FileManager.default.contentsOfDirectory(atPath: folder.appending(path: name).path).sorted()
            return files.filter { $0.hasSuffix(".yaml") }.map { folder.appending(path: "\(name)/\($0)") }
        }
        #expect(plans.count >= 3)
        for plan in plans {
            _ = try Plan.parse(String(contentsOf: plan, encoding: .utf8), path: plan.path, environment: [:])
        }
    }

    @Test func tablesHoldExactlyTheKeysTheReaderKnows() throws {
        for section in PlanKeys.sections {
            #expect(try rows(of: section.name).map(\.key) == section.keys, "section \(section.name)")
        }
    }

    /// Writing a documented default must change nothing.
    @Test func documentedDefaultsAreTheReaders() throws {
        var compared = 0
        for section in PlanKeys.sections {
            for row in try rows(of: section.name) {
                guard let value = row.literalDefault, value != "workers" else { continue }
                let bare = try Plan.parse(text(section.name, row.key, ""), path: "p", environment: [:])
                let line = "\(row.key): \(value)"
                let written = try Plan.parse(text(section.name, row.key, line), path: "p", environment: [:])
                #expect(bare == written, "\(section.name).\(row.key)")
                compared += 1
            }
        }
        #expect(compared >= 40)
    }

    @Test func tablesHoldExactlyTheWordsTheReaderKnows() throws {
        func words<Value: CaseIterable>(_ type: Value.Type) -> [String] { type.allCases.map { String(describing: $0) } }
        let known = [
            "selection": words(SelectionMethod.self), "values": words(ValueFormat.self), "scale": words(Scaling.self),
            "levels": words(CodebookLevels.self), "rounding": words(Rounding.self), "coding": words(Coding.self),
        ]
        let rows = try rows(of: "direction").filter { known[$0.key] != nil }
        #expect(rows.count == known.count)
        for row in rows { #expect(row.words == known[row.key], "\(row.key)") }
    }

    private struct Row {
        let key: String
        /// What the range lists as code.
        let words: [String]
        /// A default that the document writes as code.
        let literalDefault: String?
    }

    private func rows(of section: String) throws -> [Row] {
        let parts = document.components(separatedBy: "# `\(section)`\n")
        try #require(parts.count == 2, "the document needs one heading `\(section)`")
        let body = parts[1].components(separatedBy: "\n#")[0]
        return body.split(separator: "\n").filter { $0.hasPrefix("| `") }.map { line in
            let cells = line.split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) }
            let isLiteral = cells[2].hasPrefix("`") && cells[2].hasSuffix("`")
            return Row(
                key: cells[0].trimmingCharacters(in: ["`"]),
                words: cells[3].components(separatedBy: ", ").map { $0.trimmingCharacters(in: ["`"]) },
                literalDefault: isLiteral ? cells[2].trimmingCharacters(in: ["`"]) : nil)
        }
    }

    /// A plan in which `section` holds what it needs and one line more.
    private func text(_ section: String, _ key: String, _ line: String) -> String {
        let model = "model: {architecture: cnn}\n"
        switch section {
        case "plan": return model + "stages: [train]\n" + line
        case "model": return "model: {architecture: cnn, \(line)}\nstages: [train]"
        case "fleet" where key == "maximumStaleness":
            return model + "stages: [train]\nfleet: {rounds: asynchronous, \(line)}"
        // Keys that exist only beside others, so both sides of the comparison need those.
        case "direction":
            let beside = [
                "selection": "density: 0.5, ", "levels": "values: codebook16, ", "transfer": "bandwidth: 1MB/s, ",
            ]
            return model + "stages: [train]\nwire: {up: {\(beside[key] ?? "")\(line)}}"
        case "wire" where key == "transfer": return model + "stages: [train]\nwire: {bandwidth: 1MB/s, \(line)}"
        case "distill": return model + "stages: [{distill: {teacher: {file: t}, \(line)}}]"
        case "prune":
            // Score samples exist only beside `taylor`, so both sides of the comparison need it.
            let criterion = key == "scoreSamples" ? "criterion: taylor, " : ""
            return model + "stages: [{prune: {\(criterion)\(line)}}]"
        case "train", "quantize", "evaluate": return model + "stages: [{\(section): {\(line)}}]"
        default: return model + "stages: [train]\n\(section): {\(line)}"
        }
    }
}
