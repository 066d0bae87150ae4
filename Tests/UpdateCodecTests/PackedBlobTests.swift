import Tensors
import Testing

@testable import UpdateCodec

struct PackedBlobTests {
    private static let text = Array(String(repeating: "a graph of operators; ", count: 90).utf8)

    @Test(arguments: [[], [7], Array("short".utf8), text]) func comesBack(_ bytes: [UInt8]) throws {
        let blob = PackedBlob.pack(bytes)
        #expect(try PackedBlob.unpack(blob, byteLimit: bytes.count) == bytes)
        #expect(blob.count <= bytes.count + 14)
        for count in blob.indices {
            #expect(throws: CodecError.self) { try PackedBlob.unpack(Array(blob[..<count]), byteLimit: 1 << 20) }
        }
        #expect(throws: CodecError.self) { try PackedBlob.unpack(blob + [0], byteLimit: 1 << 20) }
    }

    @Test func whatRepeatsIsPacked() { #expect(PackedBlob.pack(Self.text).count < 100) }

    @Test func limitsComeBeforeAllocation() {
        let blob = PackedBlob.pack(Self.text)
        #expect(throws: CodecError.self) { try PackedBlob.unpack(blob, byteLimit: Self.text.count - 1) }
        var lying = blob
        lying[13] = 0x7f
        #expect(throws: CodecError.self) { try PackedBlob.unpack(lying, byteLimit: .max) }
    }

    @Test func everyBitFlipIsSurvived() {
        let blob = PackedBlob.pack(Self.text)
        for bit in 0..<blob.count * 8 {
            var damaged = blob
            damaged[bit / 8] ^= 1 << UInt8(bit % 8)
            if let bytes = try? PackedBlob.unpack(damaged, byteLimit: 1 << 16) { #expect(bytes.count <= 1 << 16) }
        }
    }
}
