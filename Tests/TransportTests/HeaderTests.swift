import Testing

@testable import Transport

@Suite struct HeaderTests {
    static let digest = [UInt8](0..<32)
    static let headers: [Header] = [
        .control, .dismissal, .probe,
        .request(digest: digest, attempt: 7, offset: 1 << 20, allowedChunks: 4),
        .grant(digest: digest, attempt: 7, allowedChunks: .max, takenChunks: 9),
        .chunk(digest: digest, attempt: 7, offset: 3, total: 4 << 30, length: 1 << 20),
        .refusal(digest: digest, attempt: .max, .unreadable),
        .cancel(digest: digest, attempt: 1),
    ]

    private func decode(_ bytes: [UInt8], limits: Limits = Limits()) throws -> Header {
        try bytes.withUnsafeBytes { try Header(decoding: $0, limits: limits) }
    }

    @Test(arguments: headers) func comesBackAsItWas(_ header: Header) throws {
        #expect(try decode(header.encoded) == header)
    }

    @Test func hasTheDocumentedBytes() {
        let header = Header.chunk(digest: Self.digest, attempt: 1, offset: 2, total: 0x0102_0304, length: 5)
        #expect(
            header.encoded == [4, 1] + Self.digest + [1, 0, 0, 0] + [2, 0, 0, 0, 0, 0, 0, 0]
                + [4, 3, 2, 1, 0, 0, 0, 0] + [5, 0, 0, 0])
    }

    @Test(arguments: headers) func refusesEveryOtherLength(_ header: Header) {
        let bytes = header.encoded
        for count in 0..<bytes.count {
            #expect(throws: ProtocolViolation.self) { try decode(Array(bytes.prefix(count))) }
        }
        #expect(throws: ProtocolViolation.self) { try decode(bytes + [0]) }
    }

    @Test(arguments: headers) func refusesOtherKindsAndVersions(_ header: Header) {
        for kind: UInt8 in [0, 9, 255] {
            #expect(throws: ProtocolViolation.self) { try decode([kind] + header.encoded.dropFirst()) }
        }
        for version: UInt8 in [0, 2, 255] {
            #expect(throws: ProtocolViolation.self) {
                try decode([header.encoded[0], version] + header.encoded.dropFirst(2))
            }
        }
    }

    @Test func refusesFieldsOutOfRange() {
        let chunk = Header.chunk(digest: Self.digest, attempt: 1, offset: 0, total: 100, length: 10).encoded
        let all: [UInt8] = Array(repeating: 255, count: 8)
        func replacing(_ offset: Int, _ bytes: [UInt8]) -> [UInt8] {
            Array(chunk[..<offset]) + bytes + Array(chunk[(offset + bytes.count)...])
        }
        #expect(throws: ProtocolViolation.self) { try decode(replacing(38, all)) }
        #expect(throws: ProtocolViolation.self) { try decode(replacing(46, all)) }
        #expect(throws: ProtocolViolation.self) { try decode(replacing(54, Array(all.prefix(4)))) }
        #expect(throws: ProtocolViolation.self) { try decode(replacing(54, [0, 0, 0, 0])) }
        // One byte beyond the end, and one byte more than a chunk may have.
        #expect(throws: ProtocolViolation.self) { try decode(replacing(38, [91])) }
        #expect(throws: ProtocolViolation.self) { try decode(chunk, limits: Limits(chunkBytes: 9)) }
        #expect(throws: ProtocolViolation.self) { try decode(chunk, limits: Limits(maximumBlobBytes: 99)) }
        #expect(throws: Never.self) { try decode(replacing(38, [90])) }
        let request = Header.request(digest: Self.digest, attempt: 1, offset: 0, allowedChunks: 0).encoded
        #expect(throws: ProtocolViolation.self) { try decode(request) }
        let grant = Header.grant(digest: Self.digest, attempt: 1, allowedChunks: 1, takenChunks: 2).encoded
        #expect(throws: ProtocolViolation.self) { try decode(grant) }
        let refusal = Header.refusal(digest: Self.digest, attempt: 1, .missing).encoded
        #expect(throws: ProtocolViolation.self) { try decode(refusal.dropLast() + [9]) }
    }

    @Test func comparesThePayloadWithTheHeader() {
        let limits = Limits(maximumControlBytes: 10)
        let chunk = Header.chunk(digest: Self.digest, attempt: 1, offset: 0, total: 100, length: 10)
        #expect(throws: ProtocolViolation.self) { try chunk.check(payloadBytes: 9, limits: limits) }
        #expect(throws: Never.self) { try chunk.check(payloadBytes: 10, limits: limits) }
        #expect(throws: ProtocolViolation.self) { try Header.control.check(payloadBytes: 11, limits: limits) }
        #expect(throws: Never.self) { try Header.control.check(payloadBytes: 10, limits: limits) }
    }
}
