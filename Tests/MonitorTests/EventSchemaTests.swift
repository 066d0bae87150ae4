import EventSchema
import Federation
import Foundation
import Simulation
import Synchronization
import Testing

@testable import Monitor

/// `protocols/log-events.schema.json`: the same as the catalogue and the code, and what machines write fits it.
@Suite struct EventSchemaTests {
    private static let root = URL(fileURLWithPath: #filePath).resolvingSymlinksInPath()
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    private static func line(_ event: Federation.LogEvent) -> String {
        String(decoding: EventLine.encode(event, at: moment()).dropLast(), as: UTF8.self)
    }

    @Test func itKnowsExactlyTheCodesEvents() throws {
        let schema = try EventSchema.ofRepository()
        #expect(schema.events == EventName.all)
        let conditions = schema.root["allOf"]?.array ?? []
        #expect(conditions.count == EventName.all.count)
        for (name, condition) in zip(EventName.all, conditions) {
            #expect(condition["if"]?["properties"]?["event"]?["const"] == .string(name))
            #expect(condition["then"]?["$ref"] == .string("#/$defs/\(name)"))
            let definition = try #require(schema.definition(of: name), "\(name)")
            #expect(definition["properties"]?["event"]?["const"] == .string(name))
            #expect(definition["additionalProperties"] == .bool(false))
        }
    }

    /// Names, types, what may be left out, and levels.
    @Test func itSaysWhatTheCatalogueSays() throws {
        let schema = try EventSchema.ofRepository()
        let catalogue = try EventCatalogue(at: Self.root.appendingPathComponent("protocols/log-events.md"))
        #expect(catalogue.entries.map(\.name).sorted() == schema.events.sorted())
        for entry in catalogue.entries {
            let definition = try #require(schema.definition(of: entry.name), "\(entry.name)")
            let levels = definition["properties"]?["level"]?["enum"]?.array?.compactMap(\.string) ?? []
            #expect(levels == entry.levels, "\(entry.name)")
            let own = ["time", "level", "event"]
            let fields = (definition["properties"]?.object ?? [:]).filter { !own.contains($0.key) }
            #expect(fields.keys.sorted() == entry.fields.map(\.name).sorted(), "\(entry.name)")
            let required = definition["required"]?.array?.compactMap(\.string) ?? []
            for field in entry.fields {
                #expect(required.contains(field.name) != field.isOptional, "\(entry.name): \(field.name)")
                guard let type = field.type, let found = fields[field.name] else { continue }
                #expect(EventCatalogue.type(of: found, in: schema) == type, "\(entry.name): \(field.name)")
            }
        }
    }

    /// What the machines say of thousands of simulated accidents. The shells' own events are held against it by SystemTests.
    @Test func whatTheMachinesLogFits() throws {
        let schema = try EventSchema.ofRepository()
        var seen: [String: Int] = [:]
        var complaints: [String] = []
        for seed in 0..<60 as Range<UInt64> {
            _ = SimulationCampaign.run(
                seed: seed,
                log: { event, _ in
                    seen[event.name, default: 0] += 1
                    // Each kind often enough, the frequent ones not all day.
                    guard seen[event.name, default: 0] <= 300, complaints.count < 5 else { return }
                    if let found = schema.complaint(about: Self.line(event)) {
                        complaints.append("seed \(seed): \(found)")
                    }
                })
        }
        #expect(complaints.isEmpty, "\(complaints.joined(separator: "\n"))")
        for name in [
            "worker.joined", "worker.lost", "worker.refused", "stage.started", "stage.finished",
            "round.opened", "round.waiting", "round.closed", "task.assigned", "task.started", "task.finished",
            "contribution.accepted", "contribution.refused", "snapshot.published", "mask.decided", "export.finished",
            "run.failed", "run.stopped", "diagnostic",
        ] { #expect(seen[name, default: 0] > 0, "no seed logs \(name)") }
    }

    @Test(arguments: [
        (LogEvent("run.finish"), "none of the values"),
        (LogEvent("run.failed", level: .error), "reason is missing"),
        (LogEvent("run.failed", level: .info, ["reason": .string("x")]), "none of the values"),
        (LogEvent("run.failed", level: .error, ["reason": .string("x"), "token": .string("y")]), "token is no field"),
        (LogEvent("run.failed", level: .error, ["reason": .int(3)]), "is of type integer"),
        (LogEvent("stage.started", ["stage": .int(-1), "kind": .string("train"), "stages": .int(1)]), "below 0"),
        (
            LogEvent("stage.started", ["stage": .int(0), "kind": .string("rain"), "stages": .int(1)]),
            "none of the values"
        ),
    ]) func whatDoesNotFitIsNamed(event: Federation.LogEvent, phrase: String) throws {
        let complaint = try EventSchema.ofRepository().complaint(about: Self.line(event))
        #expect(complaint?.contains(phrase) == true, "\(complaint ?? "nothing")")
    }

    @Test func aSchemaThatItDoesNotUnderstandIsAnError() {
        for text in [
            #"{"oneOf": []}"#, ##"{"$ref": "#/$defs/nothing"}"##, #"{"properties": {"a": {"format": "date"}}}"#,
            #"{"additionalProperties": true}"#, #"{"pattern": "("}"#,
        ] {
            #expect(throws: (any Error).self, "\(text)") { try EventSchema(root: try JSONValue(parsing: text)) }
        }
    }
}

/// The same by the PyPI package `jsonschema`, so that the validator above cannot be wrong alone. Skipped without it;
/// PLEACH_PYTHON names another interpreter than `python3`.
@Suite struct EventSchemaPythonTests {
    private static let check = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appendingPathComponent("log-events/check.py").path

    private static func python(_ arguments: [String]) throws -> (status: Int32, output: String) {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = [ProcessInfo.processInfo.environment["PLEACH_PYTHON"] ?? "python3", "-B"] + arguments
        let pipe = Pipe()
        process.standardOutput = pipe
        process.standardError = pipe
        try process.run()
        let output = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        return (process.terminationStatus, output)
    }

    private static let isThere =
        (try? python(["-c", "from jsonschema import Draft202012Validator"]).status) == 0

    @Test(.enabled(if: isThere, "needs python3 with jsonschema"))
    func whatTheMachinesLogFits() throws {
        let folder = LogFolder()
        let path = folder.logs + "/simulated.jsonl"
        var lines: [UInt8] = []
        for seed in 0..<5 as Range<UInt64> {
            _ = SimulationCampaign.run(seed: seed, log: { event, _ in lines += EventLine.encode(event, at: moment()) })
        }
        try Data(lines).write(to: URL(fileURLWithPath: path))
        let result = try Self.python([Self.check, path])
        #expect(result.status == 0, "\(result.output)")
    }

    @Test(.enabled(if: isThere, "needs python3 with jsonschema"))
    func whatDoesNotFitIsFound() throws {
        let folder = LogFolder()
        try folder.append(
            String(decoding: EventLine.encode(LogEvent("run.failed", level: .error), at: moment()), as: UTF8.self),
            to: "wrong.jsonl")
        let result = try Self.python([Self.check, folder.logs + "/wrong.jsonl"])
        #expect(result.status == 1)
        #expect(result.output.contains("'reason' is a required property"), "\(result.output)")
    }
}
