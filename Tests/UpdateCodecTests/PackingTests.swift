import Tensors
import Testing

@testable import UpdateCodec

/// LZ4 is tried where it may help.
@Suite struct PackingTests {
    private static let byteCount = 6 << 20

    private static func noise() -> [UInt8] {
        var generator = SeededGenerator(seed: 3)
        return (0..<byteCount / 8).flatMap { _ in withUnsafeBytes(of: generator.next()) { Array($0) } }
    }

    private static func unpacked(_ packed: [UInt8], leaving: Int) -> [UInt8]? {
        LZ4Block.decompress(ByteRegion(packed), leaving..<packed.count, count: byteCount)
    }

    @Test func largeNoiseIsStored() {
        let noise = Self.noise()
        #expect(LZ4Block.compress(noise, 0..<noise.count) == nil)
    }

    /// Samples lie all over the input, so a part that shrinks is found wherever it is.
    @Test(arguments: [0, 2 << 20, 5 << 20]) func aLargeInputOfWhichAPartShrinksIsPacked(_ start: Int) throws {
        var bytes = Self.noise()
        for index in start..<start + 1 << 20 { bytes[index] = UInt8(truncatingIfNeeded: index / 100) }
        let packed = try #require(LZ4Block.compress(bytes, 0..<bytes.count, leaving: 52))
        #expect(packed.prefix(52).allSatisfy { $0 == 0 })
        #expect(packed.count < bytes.count - 800_000)
        #expect(Self.unpacked(packed, leaving: 52) == bytes)
    }

    @Test func whatIsLeftInFrontIsNotPacked() throws {
        let bytes = [UInt8](repeating: 9, count: 1000)
        let packed = try #require(LZ4Block.compress(bytes, 100..<1000, leaving: 10))
        #expect(packed.count < 100)
        #expect(LZ4Block.decompress(ByteRegion(packed), 10..<packed.count, count: 900) == Array(bytes[100...]))
    }
}
