import Federation
import Foundation
import Ledger
import Testing
import Transport

@testable import Coordinator

/// A look refuses what a start refuses, in the same words, and leaves everything as it was.
@Suite(.serialized)
struct StartCheckTests {
    private final class Place {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("check-\(UUID().uuidString)").path
        var state: String { path + "/state" }

        init() throws { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true) }
        deinit { try? FileManager.default.removeItem(atPath: path) }

        func options(
            _ stages: String, model: String = "{architecture: mlp, input: [4], classes: 2, width: 4}",
            bind: String = "tcp://127.0.0.1:*", state: String? = nil
        ) throws -> CoordinatorOptions {
            let text = "name: p\nmodel: \(model)\nfleet: {workers: 1}\nstages: [\(stages)]\n"
            let plan = try Plan.parse(text, path: path + "/plan.yaml", environment: [:])
            return CoordinatorOptions(
                plan: plan, planText: text, planPath: path + "/plan.yaml", bind: bind, state: state ?? self.state,
                http: nil)
        }

        /// Every file below, with its bytes.
        func contents() throws -> [String: Data] {
            var found: [String: Data] = [:]
            for name in try FileManager.default.subpathsOfDirectory(atPath: path).sorted() {
                found[name] = FileManager.default.contents(atPath: path + "/" + name) ?? Data()
            }
            return found
        }
    }

    private static func look(_ options: CoordinatorOptions, startsOver: Bool = false) throws -> [String] {
        var check = StartCheck(options, startsOver: startsOver)
        return try StartCheck.Subject.allCases.map { try check.look(at: $0) }
    }

    /// The words of what a look and then a start throw; nil where neither does.
    private static func refusals(_ options: CoordinatorOptions) -> (look: String?, start: String?) {
        func words(_ body: () throws -> Void) -> String? {
            do { try body() } catch { return "\(type(of: error)): \(error)" }
            return nil
        }
        let look = words { _ = try Self.look(options) }
        return (look, words { _ = try CoordinatorService(options, sink: { _ in }) })
    }

    @Test func whatCanStartPassesAndLeavesNoFolder() throws {
        let place = try Place()
        let lines = try Self.look(place.options("train"))
        #expect(lines.count == StartCheck.Subject.allCases.count)
        #expect(lines.joined(separator: "\n").contains("1 stage rehearsed"))
        #expect(try place.contents().isEmpty)
    }

    /// Models, stages, teachers, addresses, folders.
    @Test(arguments: [
        ("train", "{file: missing.onnx}", "missing.onnx"),
        ("{prune: {exclude: [fc1.weigt]}}", "{architecture: mlp, input: [4], classes: 2, width: 4}", "stage 1 (prune)"),
        ("{prune: {granularity: head}}", "{architecture: cnn}", "attention heads"),
        ("{factorize: {budget: {macs: 0.0001}}}", "{architecture: cnn}", "stage 1 (factorize)"),
        ("{distill: {teacher: {file: nobody.onnx}}}", "{architecture: cnn}", "nobody.onnx"),
        (
            "{train: {}}, {distill: {teacher: {stage: 1}, attentionMatrices: 1}}", "{architecture: cnn}",
            "stage 2 (distill)"
        ),
    ])
    func aBadPlanIsRefusedAsByAStart(stages: String, model: String, phrase: String) throws {
        let place = try Place()
        let options = try place.options(stages, model: model)
        let (look, start) = Self.refusals(options)
        #expect(look?.contains(phrase) == true, "\(look ?? "not refused")")
        #expect(look == start, "\(look ?? "-") / \(start ?? "-")")
    }

    @Test func aRefusedLookLeavesNothing() throws {
        let place = try Place()
        #expect(throws: CoordinatorError.self) { try Self.look(place.options("{prune: {exclude: [nothing]}}")) }
        #expect(try place.contents().isEmpty)
    }

    @Test func addressesAndFoldersAreLookedAt() throws {
        let place = try Place()
        let taken = try Server(
            bind: "tcp://127.0.0.1:*", keys: try KeyPair.generate(),
            blobs: BlobAccess(
                open: { _ in nil }, receive: { _, _ throws(BlobFailure) in throw .broken(reason: "nothing") }))
        defer { taken.close() }
        for bind in [taken.endpoint, "tcp://127.0.0.1:99999", "tcp://203.0.113.7:7700", "ipc://here"] {
            let (look, start) = Self.refusals(try place.options("train", bind: bind))
            #expect(look != nil && look == start, "\(bind): \(look ?? "-") / \(start ?? "-")")
        }
        // A file where the folder should be, and above it.
        _ = FileManager.default.createFile(atPath: place.path + "/file", contents: Data([1]))
        for state in [place.path + "/file", place.path + "/file/below/it"] {
            let (look, start) = Self.refusals(try place.options("train", state: state))
            #expect(look != nil && look == start, "\(state): \(look ?? "-") / \(start ?? "-")")
        }
    }

    @Test func aRunThatIsThereIsRecognised() throws {
        let place = try Place()
        let options = try place.options("train")
        try withExtendedLifetime(try CoordinatorService(options, sink: { _ in })) {
            // At work: in use.
            let (look, start) = Self.refusals(options)
            #expect(look?.contains("in use") == true && look == start, "\(look ?? "-") / \(start ?? "-")")
        }
        let before = try place.contents()
        let lines = try Self.look(options)
        #expect(lines.joined(separator: "\n").contains("goes on behind round 0"))
        // Another plan.
        let other = try place.options("{train: {rounds: 9}}")
        #expect(throws: CoordinatorError.self) { try Self.look(other) }
        #expect(try Self.look(other, startsOver: true).contains("an earlier run will be forgotten"))
        #expect(try place.contents() == before, "a look has changed the state folder")
        // A damaged blob, which a look does not move.
        let blob = try #require(
            before.keys.sorted().first { $0.hasPrefix("state/blobs/") && (before[$0]?.count ?? 0) > 100 })
        try Data(repeating: 7, count: 200).write(to: URL(fileURLWithPath: "\(place.path)/\(blob)"))
        #expect(throws: CoordinatorError.self) { try Self.look(options) }
        #expect(FileManager.default.fileExists(atPath: "\(place.path)/\(blob)"))
    }

    @Test func keysInTheWayAreSaid() throws {
        let place = try Place()
        let keys = place.state + "/keys"
        try FileManager.default.createDirectory(atPath: keys, withIntermediateDirectories: true)
        _ = FileManager.default.createFile(atPath: keys + "/server.key", contents: Data("half of a pair\n".utf8))
        let (look, start) = Self.refusals(try place.options("train"))
        #expect(look?.contains("server.key") == true && look == start, "\(look ?? "-") / \(start ?? "-")")
        try FileManager.default.removeItem(atPath: keys + "/server.key")
        try KeyFile.write(try KeyPair.generate(), directory: keys, name: "server")
        chmod(keys + "/server.secret", 0o644)
        let exposed = Self.refusals(try place.options("train"))
        #expect(exposed.look?.contains("chmod 600") == true && exposed.look == exposed.start)
    }
}
