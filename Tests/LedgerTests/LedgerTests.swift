import Federation
import Foundation
import GRDB
import Testing

@testable import Ledger

/// A folder that goes away with the test.
final class StateFolder: Sendable {
    let path: String

    init() throws {
        path = FileManager.default.temporaryDirectory.appendingPathComponent("ledger-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }
}

struct LedgerTests {
    static let facts = ContributionFacts(
        round: 3, worker: "a",
        submission: Submission(round: 3, blob: nil, metrics: TaskMetrics(samples: 7, lossSum: 0.1 + 0.2)),
        base: Federation.Digest(hashing: [1]), weight: 7)

    @Test func recordsComeBackInOrderAndExactly() throws {
        let folder = try StateFolder()
        let records: [LedgerRecord] = [
            .roundOpened(round: 3, stage: 0, task: "train"), .contributionAccepted(Self.facts),
            .contributionRefused(round: 3, worker: "b", reason: "NaN \u{1F33F}"),
            .stepFinished(
                round: 3, stage: 0, outcome: StepOutcome(loss: 1.0 / 3, sparsity: 0.1), snapshot: nil,
                traffic: StepTraffic(wireBytesUp: 5), seconds: 2.5), .stageFinished(stage: 0, seconds: 9),
        ]
        do {
            let ledger = try Ledger.open(directory: folder.path)
            try ledger.append(Array(records[..<2]))
            try ledger.append(Array(records[2...]))
            try ledger.setMetadata("plan", "text")
        }
        let again = try Ledger.open(directory: folder.path, readOnly: true)
        #expect(try again.ledgerRecords().map(\.record) == records)
        #expect(try again.metadata("plan") == "text")
        #expect(try again.metadata("other") == nil)
    }

    @Test func whatWasAppendedSurvivesACopyOfTheFilesMidRun() throws {
        let folder = try StateFolder()
        let copy = try StateFolder()
        let ledger = try Ledger.open(directory: folder.path)
        try ledger.append([.contributionAccepted(Self.facts)])
        // A kill leaves database and write-ahead log as they are; so does this copy while the ledger is open.
        for name in ["ledger.sqlite", "ledger.sqlite-wal"] {
            try FileManager.default.copyItem(atPath: "\(folder.path)/\(name)", toPath: "\(copy.path)/\(name)")
        }
        #expect(
            try Ledger.open(directory: copy.path).ledgerRecords().map(\.record) == [.contributionAccepted(Self.facts)])
    }

    @Test func damageIsNamed() throws {
        let folder = try StateFolder()
        do {
            let ledger = try Ledger.open(directory: folder.path)
            for _ in 0..<50 { try ledger.append([.contributionAccepted(Self.facts)]) }
        }
        let path = folder.path + "/ledger.sqlite"
        var data = try #require(FileManager.default.contents(atPath: path))
        for index in 4096..<min(data.count, 12288) { data[index] = 0xa5 }
        try data.write(to: URL(fileURLWithPath: path))
        #expect {
            _ = try Ledger.open(directory: folder.path).ledgerRecords()
        } throws: { "\($0)".contains("ledger.sqlite") }
        try Data("not a database, not at all, really".utf8).write(to: URL(fileURLWithPath: path))
        #expect(throws: LedgerError.self) { try Ledger.open(directory: folder.path) }
    }

    @Test func aNewerSchemaIsRefused() throws {
        let folder = try StateFolder()
        _ = try Ledger.open(directory: folder.path)
        // The user version stands in bytes 60 to 63 of the file (SQLite file format, section 1.3).
        let path = folder.path + "/ledger.sqlite"
        var data = try #require(FileManager.default.contents(atPath: path))
        #expect(Array(data[60..<64]) == [0, 0, 0, 3])
        data[63] = 99
        try data.write(to: URL(fileURLWithPath: path))
        #expect(throws: LedgerError.newerSchema(path: path, found: 99, known: 3)) {
            try Ledger.open(directory: folder.path)
        }
    }

    /// SQLite itself says "full" here, in the middle of a transaction, as it does when the file system has no page left.
    @Test func aFullDiskLeavesTheLedgerAsItWas() throws {
        let folder = try StateFolder()
        let ledger = try Ledger.open(directory: folder.path)
        try ledger.append([.roundOpened(round: 0, stage: 0, task: "train")])
        try ledger.database.write { try $0.execute(sql: "PRAGMA max_page_count = 20") }
        let large = StoredRecord(kind: "large", round: nil, body: [UInt8](repeating: 7, count: 200_000))
        #expect(throws: LedgerError.diskFull(path: folder.path + "/ledger.sqlite")) {
            try ledger.append([StoredRecord(kind: "small", round: 1, body: []), large], at: 0)
        }
        #expect(try ledger.ledgerRecords().map(\.record) == [.roundOpened(round: 0, stage: 0, task: "train")])
        try ledger.append([.stageFinished(stage: 0, seconds: 1)])
        #expect(try ledger.records(after: 1).map(\.record.kind) == ["stageFinished"])
    }

    @Test func lossesThatAreNoNumbersAreFactsToo() throws {
        let folder = try StateFolder()
        let ledger = try Ledger.open(directory: folder.path)
        try ledger.append([
            .stepFinished(
                round: 1, stage: 0, outcome: StepOutcome(loss: .nan, accuracy: -.infinity), snapshot: nil,
                traffic: StepTraffic(), seconds: .infinity)
        ])
        guard case .stepFinished(_, _, let outcome, _, _, let seconds)? = try ledger.ledgerRecords().first?.record
        else {
            Issue.record("the record is gone")
            return
        }
        #expect(outcome.loss?.isNaN == true && outcome.accuracy == -.infinity && seconds == .infinity)
    }

    @Test func aRecordOfAnotherVersionIsNamed() throws {
        let folder = try StateFolder()
        let ledger = try Ledger.open(directory: folder.path)
        try ledger.append([StoredRecord(kind: "moonPhase", round: nil, body: Array("{}".utf8))], at: 0)
        #expect(throws: LedgerError.unreadableRecord(id: 1, kind: "moonPhase")) { try ledger.ledgerRecords() }
    }

    @Test func lookingCreatesNothing() throws {
        let folder = try StateFolder()
        #expect(throws: LedgerError.noRun(path: folder.path + "/ledger.sqlite")) {
            try Ledger.open(directory: folder.path, readOnly: true)
        }
        _ = try BlobStore(directory: folder.path + "/blobs", readOnly: true)
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).isEmpty)
    }

    @Test func oneProcessOwnsAFolder() throws {
        let folder = try StateFolder()
        let first = try StateLock(directory: folder.path)
        #expect(throws: LedgerError.stateInUse(path: folder.path, pid: getpid())) {
            try StateLock(directory: folder.path)
        }
        withExtendedLifetime(first) {}
    }

    @Test func aDeadHolderIsNotReported() throws {
        let folder = try StateFolder()
        #expect(StateLock.holder(directory: folder.path) == nil)
        let lock = try StateLock(directory: folder.path)
        #expect(StateLock.holder(directory: folder.path) == getpid())
        withExtendedLifetime(lock) {}
        // No process has the largest number that a pid may have on 64-bit Linux.
        try "4194304\n".write(toFile: folder.path + "/lock", atomically: false, encoding: .utf8)
        #expect(StateLock.holder(directory: folder.path) == nil)
    }

    @Test func theLockGoesWithItsHolder() throws {
        let folder = try StateFolder()
        do { _ = try StateLock(directory: folder.path) }
        _ = try StateLock(directory: folder.path)
    }
}
