// A run's durable facts: an append-only table of records in SQLite (WAL, synchronous=FULL). What was appended survives a
// kill at any instant; what was not is as if it never happened. The meaning of records is `Federation`'s.

import Foundation
import GRDB

/// One fact as it stands in the table.
public struct StoredRecord: Sendable, Equatable {
    public var kind: String
    public var round: Int?
    public var body: [UInt8]

    public init(kind: String, round: Int?, body: [UInt8]) {
        self.kind = kind
        self.round = round
        self.body = body
    }
}

/// One run's ledger. Safe to share: GRDB serialises access to the one connection it owns.
public final class Ledger: Sendable {
    private static let schemaVersion = 1
    let database: DatabaseQueue
    private let path: String

    private init(database: DatabaseQueue, path: String) {
        self.database = database
        self.path = path
    }

    /// Opens STATE/ledger.sqlite, creating it unless `readOnly`, and checks it for damage.
    public static func open(directory: String, readOnly: Bool = false) throws(LedgerError) -> Ledger {
        let path = directory + "/ledger.sqlite"
        guard !readOnly || access(path, F_OK) == 0 else { throw .noRun(path: path) }
        return try translating(path) {
            var configuration = Configuration()
            configuration.readonly = readOnly
            // A status command may look while the coordinator writes.
            configuration.busyMode = .timeout(10)
            if !readOnly {
                configuration.prepareDatabase { database in
                    try database.execute(sql: "PRAGMA journal_mode = WAL")
                    try database.execute(sql: "PRAGMA synchronous = FULL")
                }
            }
            let queue = try DatabaseQueue(path: path, configuration: configuration)
            try prepare(queue, path: path, readOnly: readOnly)
            return Ledger(database: queue, path: path)
        }
    }

    private static func prepare(_ queue: DatabaseQueue, path: String, readOnly: Bool) throws {
        let version = try queue.read { try Int.fetchOne($0, sql: "PRAGMA user_version") ?? 0 }
        guard version <= schemaVersion else {
            throw LedgerError.newerSchema(path: path, found: version, known: schemaVersion)
        }
        if version == 0 {
            // The instant between creating the file and its tables, or a kill in it.
            guard !readOnly else { throw LedgerError.noRun(path: path) }
            try queue.write { database in
                try database.execute(
                    sql: """
                        CREATE TABLE metadata (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
                        CREATE TABLE records (
                            id INTEGER PRIMARY KEY AUTOINCREMENT, time REAL NOT NULL, kind TEXT NOT NULL, round INTEGER,
                            body BLOB NOT NULL) STRICT;
                        CREATE INDEX records_by_round ON records (round, kind);
                        PRAGMA user_version = 1;
                        """)
            }
        }
        let verdict = try queue.read { try String.fetchOne($0, sql: "PRAGMA quick_check(1)") ?? "no answer" }
        guard verdict == "ok" else { throw LedgerError.notALedger(path: path, reason: verdict) }
    }

    /// Appends records in one transaction: all of them or none.
    /// - Parameter time: seconds since 1970, for people.
    public func append(_ records: [StoredRecord], at time: Double) throws(LedgerError) {
        try Self.translating(path) {
            try database.write { database in
                for record in records {
                    try database.execute(
                        sql: "INSERT INTO records (time, kind, round, body) VALUES (?, ?, ?, ?)",
                        arguments: [time, record.kind, record.round, Data(record.body)])
                }
            }
        }
    }

    /// Records after `id`, in order.
    public func records(after id: Int64 = 0) throws(LedgerError) -> [(id: Int64, time: Double, record: StoredRecord)] {
        try Self.translating(path) {
            try database.read { database in
                try Row.fetchAll(
                    database, sql: "SELECT id, time, kind, round, body FROM records WHERE id > ? ORDER BY id",
                    arguments: [id]
                ).map { row in
                    let body: Data = row["body"]
                    return (
                        row["id"], row["time"], StoredRecord(kind: row["kind"], round: row["round"], body: Array(body))
                    )
                }
            }
        }
    }

    /// Sets one value that belongs to the whole run, such as its plan's text.
    public func setMetadata(_ key: String, _ value: String) throws(LedgerError) {
        try Self.translating(path) {
            try database.write {
                try $0.execute(
                    sql:
                        "INSERT INTO metadata (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
                    arguments: [key, value])
            }
        }
    }

    /// The value of a key, or nil when it was never set.
    public func metadata(_ key: String) throws(LedgerError) -> String? {
        try Self.translating(path) {
            try database.read {
                try String.fetchOne($0, sql: "SELECT value FROM metadata WHERE key = ?", arguments: [key])
            }
        }
    }

    /// SQLite's errors in our words.
    private static func translating<Result>(_ path: String, _ body: () throws -> Result) throws(LedgerError) -> Result {
        do {
            return try body()
        } catch let error as LedgerError {
            throw error
        } catch let error as DatabaseError {
            switch error.resultCode {
            case .SQLITE_FULL: throw .diskFull(path: path)
            case .SQLITE_CORRUPT, .SQLITE_NOTADB:
                throw .notALedger(path: path, reason: error.message ?? "\(error.resultCode)")
            case .SQLITE_IOERR where errno == ENOSPC: throw .diskFull(path: path)
            default: throw .file(path: path, reason: error.message ?? "\(error.resultCode)")
            }
        } catch {
            throw .file(path: path, reason: "\(error)")
        }
    }
}
