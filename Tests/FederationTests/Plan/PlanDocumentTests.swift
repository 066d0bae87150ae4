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
        #expect(plan.roundsPlanned == (8 + 1) + 1 + (4 + 1) + (3 + 1) + (3 + 1) + 1)
    }

    /// The parts of plans that stand between the tables.
    @Test func fragmentsParse() throws {
        let fragments = document.components(separatedBy: "```yaml\n").dropFirst(2)
            .compactMap { $0.components(separatedBy: "```").first }
        let wires = try fragments.filter { $0.hasPrefix("wire") }.map {
            try Plan.parse(planText($0), path: "p", environment: [:]).wire
        }
        #expect(wires.map(\.up.budget) == [200_000, 500_000])
        #expect(wires.map(\.down.budget) == [200_000, nil])
        #expect(wires[1].down == WireScheme(selection: .topK(density: 0.2), values: .int6))
        let fleets = try fragments.filter { $0.hasPrefix("fleet") }.map {
            try Plan.parse(planText($0), path: "p", environment: [:]).fleet
        }
        #expect(fleets.map(\.widths) == [[1, 0.5, 0.25]] && fleets.map(\.strengths) == [[1, 0.5, 0.5, 0.25]])
        let stages = try fragments.filter { !$0.hasPrefix("wire") && !$0.hasPrefix("fleet") }.map {
            try Plan.parse("model: {architecture: cnn}\nstages:\n\($0)", path: "p", environment: [:]).stages
        }
        guard case .train(let plan)? = stages.first?.first else { return #expect(Bool(false), "no stage") }
        #expect(plan.server == ServerOptimizer(kind: .adam, learningRate: 0.01))
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
        let training = [
            "optimizer": words(OptimizerKind.self), "decay": words(DecayScope.self),
            "precision": words(PrecisionKind.self), "correction": words(CorrectionKind.self),
            "loss": words(LossKind.self), "schedule": words(RateSchedule.Kind.self),
            "learningRateSchedule": words(RateSchedule.Kind.self),
        ]
        for (section, count) in [("train", 6), ("distill", 5), ("prune", 6), ("factorize", 6), ("quantize", 6)] {
            let rows = try self.rows(of: section).filter {
                training[$0.key] != nil && !(section == "prune" && $0.key == "schedule")
            }
            #expect(rows.count == count)
            for row in rows { #expect(row.words == training[row.key], "\(section).\(row.key)") }
        }
        let pruning = [
            "scope": words(PruningScopeKind.self), "rule": words(MaskRuleKind.self),
            "schedule": words(SparsityScheduleKind.self), "granularity": PruningGranularity.allCases.map(\.word),
            "criterion": words(PruningCriterionKind.self) + ["magnitude"],
        ]
        let prune = try self.rows(of: "prune").filter { pruning[$0.key] != nil }
        #expect(prune.count == pruning.count)
        for row in prune { #expect(row.words == pruning[row.key], "prune.\(row.key)") }
        let ranks = ["method": words(FactorizationMethodKind.self), "of": words(RankScope.self)]
        let factorize = try self.rows(of: "factorize").filter { ranks[$0.key] != nil }
        #expect(factorize.count == ranks.count)
        for row in factorize { #expect(row.words == ranks[row.key], "factorize.\(row.key)") }
        let quantizing = [
            "levels": words(LevelsKind.self), "scales": ["tensor", "channel", "block"],
            "range": words(WeightRangeKind.self), "rounding": words(RoundingKind.self),
            "calibration": words(CalibrationMethodKind.self),
        ]
        let quantize = try self.rows(of: "quantize").filter { quantizing[$0.key] != nil }
        #expect(quantize.count == quantizing.count)
        for row in quantize { #expect(row.words == quantizing[row.key], "quantize.\(row.key)") }
        let target = try self.rows(of: "export").first { $0.key == "target" }
        #expect(target?.words == ExportTarget.allCases.map(\.rawValue))
        let server = try self.rows(of: "server").first { $0.key == "optimizer" }
        #expect(server?.words == words(ServerOptimizer.Kind.self))
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
        return body.split(separator: "\n").filter { $0.hasPrefix("| `") }.compactMap { line in
            let cells = line.split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) }
            // Tables of other things have fewer columns.
            guard cells.count >= 5 else { return nil }
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
        case "train", "distill":
            let teacher = section == "distill" || PlanKeys.teaching.contains(key) ? "teacher: {file: t}, " : ""
            let schedule = key.hasPrefix("step") ? "schedule: step, " : ""
            return model + "stages: [{\(section): {\(teacher)\(schedule)\(line)}}]"
        case "server":
            let beside = [
                "momentum": "optimizer: momentum, ", "beta2": "optimizer: adam, ", "epsilon": "optimizer: yogi, ",
            ]
            return model + "stages: [{train: {server: {\(beside[key] ?? "")\(line)}}}]"
        case "prune":
            // Keys that exist only beside others, so both sides of the comparison need those.
            let beside = [
                "scoreSamples": "criterion: taylor, ", "stepEvery": "learningRateSchedule: step, ",
                "stepFactor": "learningRateSchedule: step, ", "rewind": "schedule: lottery, ",
                "regrow": "schedule: dynamic, ", "threshold": "criterion: taylor, rule: threshold, ",
                "block": "granularity: block, ", "multiple": "granularity: channel, ",
                "normalized": "granularity: channel, ", "borders": "granularity: channel, ",
                "temperature": "teacher: {file: t}, ", "alpha": "teacher: {file: t}, ",
            ]
            return model + "stages: [{prune: {\(beside[key] ?? "")\(line)}}]"
        case "factorize":
            let beside = [
                "evbmf": "budget: {macs: 0.5}, ", "of": "budget: {macs: 0.5}, ", "stepEvery": "schedule: step, ",
                "stepFactor": "schedule: step, ", "temperature": "teacher: {file: t}, ",
                "alpha": "teacher: {file: t}, ",
            ]
            let amount = key == "evbmf" || key == "of" ? "" : "energy: 0.9, "
            return model + "stages: [{factorize: {\(amount)\(beside[key] ?? "")\(line)}}]"
        case "ensemble":
            return model + "stages: [{distill: {ensemble: {\(line)}}}]\nfleet: {workers: 2}"
        case "teacher": return model + "stages: [{train: {teacher: [{file: t, \(line)}, {file: u}]}}]"
        case "feature": return model + "stages: [{train: {teacher: {file: t}, hiddenStates: {\(line)}}}]"
        case "quantize":
            let beside = [
                "sensitivitySamples": "averageBits: 4, ", "block": "scales: block, ",
                "stepEvery": "rounds: 1, schedule: step, ", "stepFactor": "rounds: 1, schedule: step, ",
                "temperature": "rounds: 1, teacher: {file: t}, ", "alpha": "rounds: 1, teacher: {file: t}, ",
            ]
            let isTraining = PlanKeys.quantizeTraining.contains(key) || key == "frozenStatistics"
            let target = key == "block" ? "\nexport: {target: int4}" : ""
            return model + "stages: [{quantize: {\(beside[key] ?? (isTraining ? "rounds: 1, " : ""))\(line)}}]" + target
        case "evaluate": return model + "stages: [{\(section): {\(line)}}]"
        default: return model + "stages: [train]\n\(section): {\(line)}"
        }
    }
}
