import Federation
import Foundation
import Ledger
import Testing

/// A coordinator was killed and its disk damaged: the next start says in one line what is wrong and where, and uses
/// nothing of it.
@Suite(.timeLimit(.minutes(5)))
struct DamagedStateTests {
    private struct Damage {
        let name: String
        /// Each must stand in the line that is printed.
        let phrases: [String]
        /// Of the state folder.
        let strike: (_ state: String) throws -> Void
    }

    private static let plan = """
        name: damaged
        seed: 7
        model: {architecture: mlp, input: [4], classes: 2, width: 3}
        fleet: {workers: 2, quorum: 2, wait: 300s, lease: 300s, heartbeat: 5s}
        stages:
          - train: {rounds: 1}
        """

    @Test func aDamagedStateIsNamedAndNotUsed() async throws {
        let stage = try await HostileStage(Self.plan)
        let alice = try stage.worker("alice")
        alice.send(.ready(held: []))
        let offer = try await alice.task()
        let update = try ScriptedWorker.update(for: offer, width: 3).bytes
        alice.submit(offer, serving: update)
        #expect(try await alice.verdict().isAccepted)
        stage.coordinator.killNow()
        _ = try await stage.coordinator.wait()
        // As after some thousand records: they stand in the ledger's file, not only in its write-ahead log.
        _ = try Ledger.open(directory: stage.state)

        let snapshot = offer.snapshot.snapshot.digest
        let contribution = Federation.Digest(hashing: update)
        for damage in Self.damages(snapshot: snapshot, graph: offer.snapshot.graph.digest, contribution: contribution) {
            let state = "\(stage.folder.path)/\(damage.name)"
            try FileManager.default.copyItem(atPath: stage.state, toPath: state)
            try? FileManager.default.removeItem(atPath: state + "/endpoint")
            try damage.strike(state)
            let before = try Self.files(state)
            let start = try await PleachProcess.run([
                "coordinator", stage.folder.path + "/plan.yaml", "--state", state, "--bind", "tcp://127.0.0.1:*",
            ])
            #expect(start.status == 9, "\(damage.name): \(start.text)")
            let lines = start.text.split(separator: "\n")
            #expect(lines.count == 1 && start.text.hasPrefix("error: "), "\(damage.name): \(start.text)")
            for phrase in damage.phrases { #expect(start.text.contains(phrase), "\(damage.name): \(start.text)") }
            // Nothing was begun anew, and what is left can still be looked into and restored.
            let after = try Self.files(state)
            #expect(before.subtracting(after).isSubset(of: after.map { $0.replacing(".corrupt", with: "") }))
            #expect(!after.contains("endpoint"), "\(damage.name)")
        }
    }

    private static func damages(
        snapshot: Federation.Digest, graph: Federation.Digest, contribution: Federation.Digest
    ) -> [Damage] {
        func blob(_ digest: Federation.Digest, _ state: String) -> String {
            "\(state)/blobs/\(digest.hex.prefix(2))/\(digest.hex)"
        }
        func edit(_ path: String, _ change: (inout Data) -> Void) throws {
            var bytes = try Data(contentsOf: URL(fileURLWithPath: path))
            change(&bytes)
            try bytes.write(to: URL(fileURLWithPath: path))
        }
        return [
            Damage(name: "record", phrases: ["/record/ledger.sqlite is damaged", "record", "checksum", "--fresh"]) {
                try edit($0 + "/ledger.sqlite") { bytes in
                    // A digit of the accepted contribution: the file stays a sound SQLite file.
                    let text = Data("\"weight\":10".utf8)
                    if let place = bytes.range(of: text) { bytes[place.upperBound - 1] ^= 1 }
                }
            },
            Damage(name: "head", phrases: ["/head/ledger.sqlite is damaged"]) {
                try edit($0 + "/ledger.sqlite") { $0[0] ^= 1 }
            },
            Damage(name: "half", phrases: ["/half/ledger.sqlite is damaged"]) {
                try edit($0 + "/ledger.sqlite") { $0 = $0.prefix($0.count / 2) }
            },
            Damage(name: "empty", phrases: ["/empty/ledger.sqlite is damaged", "it is empty or missing"]) {
                try edit($0 + "/ledger.sqlite") { $0 = Data() }
            },
            Damage(name: "gone", phrases: ["/gone/ledger.sqlite is damaged", "it is empty or missing"]) {
                try FileManager.default.removeItem(atPath: $0 + "/ledger.sqlite")
            },
            Damage(name: "snapshot", phrases: [snapshot.hex, "is damaged", ".corrupt"]) {
                try edit(blob(snapshot, $0)) { $0[$0.count - 5] ^= 0x40 }
            },
            Damage(name: "missing", phrases: [snapshot.hex, "is missing", "--fresh"]) {
                try FileManager.default.removeItem(atPath: blob(snapshot, $0))
            },
            Damage(name: "graph", phrases: [graph.hex, "is damaged"]) {
                try edit(blob(graph, $0)) { $0 = $0.dropLast(1) }
            },
            Damage(name: "contribution", phrases: [contribution.hex, "the contribution of alice to round 0"]) {
                try edit(blob(contribution, $0)) { $0[$0.count - 5] ^= 0x40 }
            },
        ]
    }

    private static func files(_ state: String) throws -> Set<String> {
        Set(try FileManager.default.subpathsOfDirectory(atPath: state).filter { !$0.hasPrefix("ledger.sqlite") })
    }
}
