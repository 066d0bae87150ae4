import Federation
import Ledger
import Testing

/// A real coordinator, and a worker with a valid key that sends what no honest worker would.
@Suite(.serialized, .timeLimit(.minutes(5)))
struct HostileWorkerTests {
    static let plan = """
        name: hostile
        seed: 7
        model: {architecture: mlp, input: [4], classes: 2, width: 3}
        fleet: {workers: 1, quorum: 1, wait: 300s, lease: 300s, heartbeat: 5s}
        stages:
          - train: {rounds: 1}
        """

    /// Answers one task with bytes made by `forge`, and returns the coordinator's verdict on it.
    private func verdict(
        on forge: (_ honest: [UInt8], _ marker: [UInt8]) -> [UInt8]
    ) async throws -> (reason: String, status: Int32, text: String) {
        let stage = try await HostileStage(Self.plan)
        let mallory = try stage.worker("mallory")
        mallory.send(.ready(held: []))
        let offer = try await mallory.task()
        let (honest, marker) = try ScriptedWorker.update(for: offer, width: 3)
        mallory.submit(offer, serving: forge(honest, marker))
        let (isAccepted, reason) = try await mallory.verdict()
        #expect(!isAccepted)
        // The round stays open for others; this worker's result is on record.
        #expect(stage.coordinator.isRunning)
        stage.coordinator.interrupt()
        let status = try await stage.coordinator.wait()
        return (reason, status, stage.coordinator.text)
    }

    @Test func anUpdateThatIsNotFiniteIsRefusedAndTheRunSaysSo() async throws {
        let result = try await verdict { honest, marker in
            var bytes = honest
            for start in 0..<(bytes.count - 4) where Array(bytes[start..<start + 4]) == marker {
                bytes.replaceSubrange(start..<start + 4, with: [0, 0, 0xc0, 0x7f])
                return bytes
            }
            Issue.record("the value does not stand in the container as it is")
            return bytes
        }
        #expect(result.reason.contains("NaN"), "\(result.reason)")
        #expect(result.status == 10, "\(result.text)")
        #expect(result.text.contains("mallory"))
    }

    @Test func aTruncatedUpdateIsRefused() async throws {
        let result = try await verdict { honest, _ in Array(honest.dropLast(7)) }
        #expect(!result.reason.isEmpty)
        #expect(result.status == 10, "\(result.text)")
    }

    @Test func anUpdateOfAnotherSnapshotIsRefused() async throws {
        let result = try await verdict { honest, _ in
            var bytes = honest
            // The base digest is 32 bytes within the header; whatever byte of it changes, it is another snapshot.
            bytes[20] ^= 0xff
            return bytes
        }
        #expect(!result.reason.isEmpty)
        #expect(result.status == 10, "\(result.text)")
    }

    @Test func bytesThatAreNotWhatTheirNameSaysAreRefusedByNameAndTheOthersFinish() async throws {
        let stage = try await HostileStage(Self.plan)
        let mallory = try stage.worker("mallory")
        mallory.send(.ready(held: []))
        let offer = try await mallory.task()
        let (honest, _) = try ScriptedWorker.update(for: offer, width: 3)
        let served = Array(honest.reversed())
        let declared = Federation.Digest(hashing: honest + [1])
        mallory.submit(offer, serving: served, as: declared)
        let (isAccepted, reason) = try await mallory.verdict()
        #expect(!isAccepted && reason.contains(declared.hex), "\(reason)")
        let alice = try stage.worker("alice")
        try await alice.finishRun(width: 3)
        #expect(try await stage.coordinator.wait() == 0, "\(stage.coordinator.text)")
        #expect(stage.coordinator.text.contains("mallory"))
        #expect(try stage.contributors(ofRound: 0) == ["alice"])
        #expect(try stage.refused().map(\.worker) == ["mallory"])
        let left = try stage.blobFiles()
        for digest in [declared, Federation.Digest(hashing: served)] {
            #expect(!left.contains { $0.contains(digest.hex) }, "\(left)")
        }
        #expect(!left.contains { $0.contains("partial/") || $0.contains("temporary/") }, "\(left)")
    }

    /// Names come from keys, so all a thief can do is to submit for a round that was offered to somebody else.
    @Test func aTaskThatWasOfferedToAnotherCannotBeAnswered() async throws {
        let stage = try await HostileStage(Self.plan)
        let alice = try stage.worker("alice")
        alice.send(.ready(held: []))
        let offer = try await alice.task()
        let (honest, _) = try ScriptedWorker.update(for: offer, width: 3)
        let mallory = try stage.worker("mallory")
        mallory.send(.heartbeat(round: offer.round, progress: 1))
        mallory.submit(offer, serving: Array(honest.reversed()), as: Federation.Digest(hashing: honest))
        let (isAccepted, reason) = try await mallory.verdict()
        #expect(!isAccepted && reason.contains("enough workers"), "\(reason)")
        mallory.send(.decline(round: offer.round, reason: "not mine"))
        mallory.send(.goodbye(reason: "done"))
        alice.submit(offer, serving: honest)
        #expect(try await alice.verdict().isAccepted)
        try await alice.finishRun(width: 3)
        #expect(try await stage.coordinator.wait() == 0, "\(stage.coordinator.text)")
        #expect(try stage.contributors(ofRound: 0) == ["alice"])
    }
}
