import Federation
import Foundation
import Testing

@testable import Ledger

/// Damage of the ledger's file at any byte is refused in one line, or is provably harmless: what is read is what was
/// written.
struct LedgerDamageTests {
    private struct Content: Equatable {
        var records: [LedgerRecord]
        var plan: String?
    }

    private static func makeLedger(_ folder: StateFolder, records count: Int) throws -> Content {
        let ledger = try Ledger.open(directory: folder.path)
        try ledger.setMetadata("plan", "name: x\nstages: []")
        for number in 0..<count {
            try ledger.append([
                .roundOpened(round: number, stage: 0, task: "train"),
                .contributionRefused(round: number, worker: "w\(number)", reason: "reason \(number)"),
            ])
        }
        return try content(ledger)
    }

    private static func content(_ ledger: Ledger) throws -> Content {
        Content(records: try ledger.ledgerRecords().map(\.record), plan: try ledger.metadata("plan"))
    }

    /// Opens a damaged copy; a refusal must be one line that names the file.
    private static func read(_ data: Data, in folder: StateFolder, readOnly: Bool) throws -> Content? {
        for name in ["ledger.sqlite-wal", "ledger.sqlite-shm"] { unlink(folder.path + "/" + name) }
        try data.write(to: URL(fileURLWithPath: folder.path + "/ledger.sqlite"))
        do {
            return try content(Ledger.open(directory: folder.path, readOnly: readOnly))
        } catch let error as LedgerError {
            let line = "\(error)"
            #expect(line.contains("ledger.sqlite") && !line.contains("\n"), "\(line)")
            return nil
        }
    }

    @Test func aFlippedByteIsRefusedOrHarmless() throws {
        let folder = try StateFolder()
        let original = try Self.makeLedger(folder, records: 30)
        let data = try #require(FileManager.default.contents(atPath: folder.path + "/ledger.sqlite"))
        let copy = try StateFolder()
        var refused = 0
        // Every byte of the file's header, then a sample of all pages.
        let places = Array(0..<128) + Array(stride(from: 128, to: data.count, by: 171))
        for (number, place) in places.enumerated() {
            var damaged = data
            damaged[place] ^= number % 2 == 0 ? 0xff : UInt8(1 << (number % 8))
            guard let found = try Self.read(damaged, in: copy, readOnly: number % 3 == 0) else {
                refused += 1
                continue
            }
            #expect(found == original, "byte \(place) changed what is read")
        }
        #expect(refused > 50)
    }

    @Test func everyByteOfARecordsTextIsCovered() throws {
        let folder = try StateFolder()
        _ = try Self.makeLedger(folder, records: 3)
        let data = try #require(FileManager.default.contents(atPath: folder.path + "/ledger.sqlite"))
        let text = try #require(data.range(of: Data("\"reason\":\"reason 1\"".utf8)))
        let copy = try StateFolder()
        for place in text {
            var damaged = data
            damaged[place] ^= 1
            #expect(try Self.read(damaged, in: copy, readOnly: false) == nil, "byte \(place)")
        }
    }

    @Test func aTruncatedLedgerIsRefused() throws {
        let folder = try StateFolder()
        _ = try Self.makeLedger(folder, records: 30)
        let data = try #require(FileManager.default.contents(atPath: folder.path + "/ledger.sqlite"))
        let copy = try StateFolder()
        // As in every state folder of a run.
        try FileManager.default.createDirectory(
            atPath: copy.path + "/blobs", withIntermediateDirectories: true)
        for length in [0, 1, 2, 100] + Array(stride(from: 512, to: data.count, by: 1536)) {
            #expect(try Self.read(data.prefix(length), in: copy, readOnly: length % 2 == 0) == nil, "\(length) bytes")
        }
    }

    @Test func anOlderSchemaIsRefusedWithAWayOut() throws {
        let folder = try StateFolder()
        _ = try Self.makeLedger(folder, records: 1)
        let path = folder.path + "/ledger.sqlite"
        var data = try #require(FileManager.default.contents(atPath: path))
        data[63] = 1
        try data.write(to: URL(fileURLWithPath: path))
        #expect(throws: LedgerError.olderSchema(path: path, found: 1, known: 3)) {
            try Ledger.open(directory: folder.path)
        }
    }
}
