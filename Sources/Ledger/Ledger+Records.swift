import Federation
import Foundation

extension Ledger {
    /// Appends facts of the coordinator's machine in one transaction, stamped with the wall clock.
    public func append(_ records: [LedgerRecord]) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        // A diverged run reports losses that JSON has no number for; they are facts all the same.
        encoder.nonConformingFloatEncodingStrategy = .convertToString(
            positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
        let stored = try records.map { record in
            StoredRecord(kind: record.kind, round: record.round, body: Array(try encoder.encode(record)))
        }
        try append(stored, at: Date().timeIntervalSince1970)
    }

    /// All facts, in order.
    /// - Throws: `LedgerError.corrupt` naming the record that cannot be read.
    public func ledgerRecords() throws -> [(time: Double, record: LedgerRecord)] {
        let decoder = JSONDecoder()
        decoder.nonConformingFloatDecodingStrategy = .convertFromString(
            positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
        return try records().map { id, time, stored in
            do {
                return (time, try decoder.decode(LedgerRecord.self, from: Data(stored.body)))
            } catch {
                throw LedgerError.unreadableRecord(id: id, kind: stored.kind)
            }
        }
    }
}
