// A run's durable facts: an append-only table of records in SQLite (WAL, synchronous=FULL). What was appended survives a
// kill at any instant; what was not is as if it never happened. The meaning of records is `Federation`'s.
//
// SQLite does not notice a changed byte inside a value. So each record carries the SHA-256 of itself and of the record
// before (`LedgerChain`), the table `head` says how many records there are and how the chain ends, and metadata carry a
// checksum. All are checked when a ledger is opened; damage is refused, never read.

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
    private static let schemaVersion = 3
    let database: DatabaseQueue
    private let path: String
    /// What is read instead of `path`, where nothing can be written.
    private let copy: LedgerCopy?

    private init(database: DatabaseQueue, path: String, copy: LedgerCopy?) {
        self.database = database
        self.path = path
        self.copy = copy
    }

    /// Opens STATE/ledger.sqlite, creating it unless `readOnly`, and checks it for damage.
    public static func open(directory: String, readOnly: Bool = false) throws(LedgerError) -> Ledger {
        let path = directory + "/ledger.sqlite"
        guard !readOnly || access(path, F_OK) == 0 else { throw .noRun(path: path) }
        let copy = readOnly ? try LedgerCopy(ifNeededFor: path) : nil
        return try translating(path, opening: true) {
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
            let queue = try DatabaseQueue(path: copy?.path ?? path, configuration: configuration)
            try prepare(queue, path: path, readOnly: readOnly)
            return Ledger(database: queue, path: path, copy: copy)
        }
    }

    private static func prepare(_ queue: DatabaseQueue, path: String, readOnly: Bool) throws {
        let version = try queue.read { try Int.fetchOne($0, sql: "PRAGMA user_version") ?? 0 }
        guard version <= schemaVersion else {
            throw LedgerError.newerSchema(path: path, found: version, known: schemaVersion)
        }
        if version == 0 {
            let tables = try queue.read { try Int.fetchOne($0, sql: "SELECT count(*) FROM sqlite_schema") ?? 0 }
            guard tables == 0 else { throw LedgerError.notALedger(path: path, reason: "its schema has no version") }
            // The instant between creating the file and its tables, or a kill in it.
            guard !readOnly else { throw LedgerError.noRun(path: path) }
            try requireNoBlobs(beside: path)
            try queue.write { try create(in: $0) }
        } else if version < schemaVersion {
            throw LedgerError.olderSchema(path: path, found: version, known: schemaVersion)
        }
        try queue.read { database in
            let verdict = try String.fetchOne(database, sql: "PRAGMA integrity_check(1)") ?? "no answer"
            guard verdict == "ok" else { throw LedgerError.notALedger(path: path, reason: verdict) }
            _ = try readRecords(database, path: path)
            for row in try Row.fetchAll(database, sql: "SELECT key, value, checksum FROM metadata") {
                guard let key = String.fromDatabaseValue(row["key"]),
                    let value = String.fromDatabaseValue(row["value"]),
                    Data.fromDatabaseValue(row["checksum"]) == LedgerChain.checksum(key: key, value: value)
                else { throw LedgerError.notALedger(path: path, reason: "its metadata do not match their checksums") }
            }
        }
    }

    /// The ledger is made before the first blob. SQLite takes what is left of a file cut to nothing for a new one.
    private static func requireNoBlobs(beside path: String) throws(LedgerError) {
        guard access((path as NSString).deletingLastPathComponent + "/blobs", F_OK) != 0 else {
            throw .notALedger(path: path, reason: "it is empty or missing, but there are blobs beside it")
        }
    }

    /// Opens a copy of STATE/ledger.sqlite, so that not even the index of its log is touched; nil where `open` would make a new
    /// ledger.
    /// - Throws: what `open` would.
    public static func examine(directory: String) throws(LedgerError) -> Ledger? {
        let path = directory + "/ledger.sqlite"
        guard access(path, F_OK) == 0 else {
            try requireNoBlobs(beside: path)
            return nil
        }
        let copy = try LedgerCopy(of: path)
        return try translating(path, opening: true) {
            let queue = try DatabaseQueue(path: copy.path)
            guard try queue.read({ try Int.fetchOne($0, sql: "SELECT count(*) FROM sqlite_schema") ?? 0 }) > 0 else {
                try requireNoBlobs(beside: path)
                return nil
            }
            try prepare(queue, path: path, readOnly: true)
            return Ledger(database: queue, path: path, copy: copy)
        }
    }

    private static func create(in database: Database) throws {
        try database.execute(
            sql: """
                CREATE TABLE metadata (key TEXT PRIMARY KEY, value TEXT NOT NULL, checksum BLOB NOT NULL) STRICT;
                CREATE TABLE records (
                    id INTEGER PRIMARY KEY, time REAL NOT NULL, kind TEXT NOT NULL, round INTEGER, body BLOB NOT NULL,
                    chain BLOB NOT NULL) STRICT;
                CREATE TABLE head (id INTEGER PRIMARY KEY CHECK (id = 1), count INTEGER NOT NULL, chain BLOB NOT NULL)
                    STRICT;
                """)
        try database.execute(
            sql: "INSERT INTO head (id, count, chain) VALUES (1, 0, ?)", arguments: [LedgerChain.start])
        try database.execute(sql: "PRAGMA user_version = \(schemaVersion)")
    }

    /// The end of the chain, without reading the chain.
    private static func head(_ database: Database, path: String) throws -> (count: Int64, chain: Data) {
        guard let row = try Row.fetchOne(database, sql: "SELECT count, chain FROM head WHERE id = 1"),
            let count = Int64.fromDatabaseValue(row["count"]), let chain = Data.fromDatabaseValue(row["chain"])
        else { throw LedgerError.notALedger(path: path, reason: "it does not say where its records end") }
        return (count, chain)
    }

    /// All records, each checked against the one before it and the last against the head.
    private static func readRecords(
        _ database: Database, path: String
    ) throws -> [(id: Int64, time: Double, record: StoredRecord)] {
        var chain = LedgerChain.start
        var records: [(id: Int64, time: Double, record: StoredRecord)] = []
        for row in try Row.fetchAll(database, sql: "SELECT id, time, kind, round, body, chain FROM records ORDER BY id")
        {
            let number = Int64(records.count + 1)
            // Values of another type than the column's would end the process if they were read as such.
            guard let id = Int64.fromDatabaseValue(row["id"]), id == number,
                let time = Double.fromDatabaseValue(row["time"]), let kind = String.fromDatabaseValue(row["kind"]),
                let body = Data.fromDatabaseValue(row["body"])
            else { throw LedgerError.notALedger(path: path, reason: "record \(number) is not there as it was written") }
            let record = StoredRecord(kind: kind, round: Int.fromDatabaseValue(row["round"]), body: Array(body))
            chain = LedgerChain.next(after: chain, id: id, time: time, record)
            guard Data.fromDatabaseValue(row["chain"]) == chain else {
                throw LedgerError.notALedger(path: path, reason: "record \(number) does not match its checksum")
            }
            records.append((id, time, record))
        }
        let head = try head(database, path: path)
        guard head.count == Int64(records.count), head.chain == chain else {
            throw LedgerError.notALedger(
                path: path, reason: "it holds \(records.count) of \(head.count) records")
        }
        return records
    }

    /// Appends records in one transaction: all of them or none.
    /// - Parameter time: seconds since 1970, for people.
    public func append(_ records: [StoredRecord], at time: Double) throws(LedgerError) {
        try Self.translating(path) {
            try database.write { database in
                var head = try Self.head(database, path: path)
                for record in records {
                    head.count += 1
                    head.chain = LedgerChain.next(after: head.chain, id: head.count, time: time, record)
                    try database.execute(
                        sql: "INSERT INTO records (id, time, kind, round, body, chain) VALUES (?, ?, ?, ?, ?, ?)",
                        arguments: [head.count, time, record.kind, record.round, Data(record.body), head.chain])
                }
                try database.execute(
                    sql: "UPDATE head SET count = ?, chain = ? WHERE id = 1", arguments: [head.count, head.chain])
            }
        }
    }

    /// Records after `id`, in order.
    public func records(after id: Int64 = 0) throws(LedgerError) -> [(id: Int64, time: Double, record: StoredRecord)] {
        try Self.translating(path) {
            try database.read { try Self.readRecords($0, path: path).filter { $0.id > id } }
        }
    }

    /// When the oldest or the newest record, of a kind or of any, was written; nil where there is none.
    /// - Returns: seconds since 1970.
    public func time(ofOldest isOldest: Bool, kind: String? = nil) throws(LedgerError) -> Double? {
        let filter = kind == nil ? "" : "WHERE kind = ?"
        let sql = "SELECT time FROM records \(filter) ORDER BY id \(isOldest ? "ASC" : "DESC") LIMIT 1"
        return try Self.translating(path) {
            try database.read { try Double.fetchOne($0, sql: sql, arguments: kind.map { [$0] } ?? []) }
        }
    }

    /// Sets one value that belongs to the whole run, such as its plan's text.
    public func setMetadata(_ key: String, _ value: String) throws(LedgerError) {
        try Self.translating(path) {
            try database.write {
                try $0.execute(
                    sql:
                        "INSERT OR REPLACE INTO metadata (key, value, checksum) VALUES (?, ?, ?)",
                    arguments: [key, value, LedgerChain.checksum(key: key, value: value)])
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
    private static func translating<Result>(
        _ path: String, opening: Bool = false, _ body: () throws -> Result
    ) throws(LedgerError) -> Result {
        do {
            return try body()
        } catch let error as LedgerError {
            throw error
        } catch let error as DatabaseError {
            switch error.resultCode {
            case .SQLITE_FULL: throw .diskFull(path: path)
            case .SQLITE_CORRUPT, .SQLITE_NOTADB:
                throw .notALedger(path: path, reason: error.message ?? "\(error.resultCode)")
            // A table or column that is not there: the schema is damaged.
            case .SQLITE_ERROR where opening, .SQLITE_FORMAT where opening, .SQLITE_NOMEM where opening:
                throw .notALedger(path: path, reason: error.message ?? "\(error.resultCode)")
            case .SQLITE_IOERR where errno == ENOSPC: throw .diskFull(path: path)
            default: throw .file(path: path, reason: error.message ?? "\(error.resultCode)")
            }
        } catch {
            throw .file(path: path, reason: "\(error)")
        }
    }
}
