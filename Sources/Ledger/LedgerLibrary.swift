import GRDB

/// The linked SQLite.
public enum LedgerLibrary {
    /// Such as `3.40.1`, asked of a database in memory.
    /// - Throws: `LedgerError` where it cannot make one.
    public static func version() throws(LedgerError) -> String {
        do {
            return try DatabaseQueue().write { database in
                try database.execute(sql: "CREATE TABLE probe (id INTEGER PRIMARY KEY) STRICT")
                return try String.fetchOne(database, sql: "SELECT sqlite_version()") ?? "of unknown version"
            }
        } catch {
            throw .file(path: "SQLite", reason: "it cannot make a table of strict types (needs 3.37): \(error)")
        }
    }
}
