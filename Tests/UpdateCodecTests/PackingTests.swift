import Tensors
import Testing

@testable import UpdateCodec

/// Bodies are packed piece by piece where that helps, with the same bytes for any number of threads.
@Suite struct PackingTests {
    private static let byteCount = 6 << 20 | 12_345

    private static func noise() -> [UInt8] {
        var generator = SeededGenerator(seed: 3)
        return (0..<byteCount / 8 + 1).flatMap { _ in withUnsafeBytes(of: generator.next()) { Array($0) } }
            .dropLast(8 - byteCount % 8)
    }

    private static func pack(_ bytes: [UInt8], leaving: Int = 0, threads: Int = 1) -> [UInt8]? {
        PackedPieces.pack(bytes, 0..<bytes.count, leaving: leaving, force: WorkForce(threads: threads))
    }

    private static func unpacked(_ packed: [UInt8], from start: Int = 0, byteCount: Int) throws(CodecError) -> [UInt8] {
        var reader = ByteReader(ByteRegion(packed), offset: start)
        return try PackedPieces.unpack(&reader, byteCount: byteCount, force: WorkForce(threads: 3))
    }

    @Test func noiseIsStored() {
        let noise = Self.noise()
        #expect(noise.count == Self.byteCount)
        #expect(Self.pack(noise) == nil)
    }

    /// Pieces are sampled, each for itself, so a part that shrinks is found wherever it is.
    @Test(arguments: [0, 2 << 20, 5 << 20]) func aPartThatShrinksIsPacked(_ start: Int) throws {
        var bytes = Self.noise()
        for index in start..<start + 1 << 20 { bytes[index] = UInt8(truncatingIfNeeded: index / 100) }
        let packed = try #require(Self.pack(bytes, leaving: 52))
        #expect(packed.prefix(52).allSatisfy { $0 == 0 })
        #expect(packed.count < bytes.count - 800_000)
        #expect(try Self.unpacked(packed, from: 52, byteCount: bytes.count) == bytes)
        for threads in 2...5 { #expect(Self.pack(bytes, leaving: 52, threads: threads) == packed) }
    }

    @Test(arguments: [17, 300, 1 << 20, 1 << 20 | 1, 3 << 20]) func whatRepeatsComesBack(_ count: Int) throws {
        let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 / 1000) }
        let packed = try #require(Self.pack(bytes))
        #expect(packed.count < bytes.count)
        #expect(try Self.unpacked(packed, byteCount: count) == bytes)
        // Every byte too few or too many is noticed.
        #expect(throws: CodecError.self) { try Self.unpacked(packed.dropLast(), byteCount: count) }
        #expect(throws: CodecError.self) { try Self.unpacked(packed + [0], byteCount: count) }
        #expect(throws: CodecError.self) { try Self.unpacked(packed, byteCount: count + 1) }
        #expect(throws: CodecError.self) { try Self.unpacked(packed, byteCount: count - 1) }
    }

    @Test func aPieceThatClaimsToBeLongerThanItIsRefused() {
        #expect(throws: CodecError.self) {
            try Self.unpacked([9, 0, 0, 0] + [UInt8](repeating: 0, count: 9), byteCount: 8)
        }
        #expect(throws: CodecError.self) { try Self.unpacked([0xff, 0xff, 0xff, 0xff, 1], byteCount: 8) }
    }
}
