import Federation
import Foundation
import Ledger
import Tensors
import Testing

@Test(arguments: [0, 1, 1 << 20, (1 << 20) + 1]) func aMappedFileHasTheDigestOfItsBytes(_ count: Int) throws {
    let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 7) }
    let path = FileManager.default.temporaryDirectory.appendingPathComponent("digest-\(UUID().uuidString)").path
    defer { unlink(path) }
    try FileBytes.write(bytes, path: path)
    #expect(try Digest(hashing: MappedFile(path: path)) == Digest(hashing: bytes))
}
