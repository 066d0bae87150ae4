import Crypto
import Foundation

/// The running checksum of a ledger: each record's value covers the record and, through the one before it, all others.
enum LedgerChain {
    /// Before the first record.
    static let start = Data(repeating: 0, count: 32)

    static func next(after chain: Data, id: Int64, time: Double, _ record: StoredRecord) -> Data {
        var hash = SHA256()
        hash.update(data: chain)
        hash.update(number: UInt64(bitPattern: id))
        hash.update(number: time.bitPattern)
        hash.update(counted: Data(record.kind.utf8))
        hash.update(number: record.round == nil ? 0 : 1)
        hash.update(number: UInt64(bitPattern: Int64(record.round ?? 0)))
        hash.update(counted: Data(record.body))
        return Data(hash.finalize())
    }

    /// Of one metadata entry.
    static func checksum(key: String, value: String) -> Data {
        var hash = SHA256()
        hash.update(counted: Data(key.utf8))
        hash.update(counted: Data(value.utf8))
        return Data(hash.finalize())
    }
}

extension SHA256 {
    fileprivate mutating func update(number: UInt64) {
        withUnsafeBytes(of: number.littleEndian) { update(bufferPointer: $0) }
    }

    /// The length first, so that no two sequences of fields read the same.
    fileprivate mutating func update(counted bytes: Data) {
        update(number: UInt64(bytes.count))
        update(data: bytes)
    }
}
