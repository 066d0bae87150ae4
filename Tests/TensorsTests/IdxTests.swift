import Testing

@testable import Tensors

@Suite struct IdxTests {
    private static let plain: [UInt8] = [0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 6]
    /// `plain` through Python's `gzip.compress`.
    private static let compressed: [UInt8] = [
        31, 139, 8, 0, 0, 0, 0, 0, 2, 3, 99, 96, 224, 96, 98, 96, 96, 0, 97, 102, 70, 38, 102, 22, 86, 54, 0, 72, 148,
        62,
        229, 18, 0, 0, 0,
    ]
    /// `plain` as two gzip members of nine bytes each.
    private static let twoMembers: [UInt8] = [
        31, 139, 8, 0, 0, 0, 0, 0, 2, 3, 99, 96, 224, 96, 98, 96, 96, 96, 98, 0, 0, 64, 153, 24, 170, 9, 0, 0, 0, 31,
        139,
        8, 0, 0, 0, 0, 0, 2, 3, 99, 96, 96, 102, 100, 98, 102, 97, 101, 3, 0, 180, 216, 213, 231, 9, 0, 0, 0,
    ]
    private static let expected = Tensor([1, 2, 3, 4, 5, 6] as [UInt8], shape: [2, 3])

    @Test(arguments: [plain, compressed, twoMembers])
    func isRead(bytes: [UInt8]) throws {
        #expect(try Idx.parse(bytes, path: "m") == Self.expected)
    }

    @Test(arguments: [plain, compressed, twoMembers])
    func everyTruncationAndExtensionIsRefused(bytes: [UInt8]) {
        for count in 0..<bytes.count {
            #expect(throws: TensorError.self) { try Idx.parse(Array(bytes[..<count]), path: "cut") }
        }
        #expect(throws: TensorError.self) { try Idx.parse(bytes + [0], path: "long") }
    }

    @Test(arguments: [plain, compressed, twoMembers])
    func mutationsNeverTrap(bytes: [UInt8]) {
        var generator = SeededGenerator(seed: 3)
        var refused = 0
        for _ in 0..<2_000 {
            var mutated = bytes
            mutated[generator.index(below: mutated.count)] = UInt8(truncatingIfNeeded: generator.next())
            if let tensor = try? Idx.parse(mutated, path: "mutated") {
                #expect(tensor.bytes.count == tensor.elementCount)
            } else {
                refused += 1
            }
        }
        #expect(refused > 800)
    }

    @Test(
        arguments: [
            ([1, 0, 8, 1, 0, 0, 0, 0], "magic"),
            ([0, 0, 13, 1, 0, 0, 0, 0], "element type 13"),
            ([0, 0, 8, 0], "rank 0"),
            ([0, 0, 8, 200], "rank 200"),
            ([0, 0, 8, 2, 0, 0, 0, 1], "within its IDX header"),
            ([0, 0, 8, 1, 0, 0, 0, 2, 1], "needs 10 bytes"),
            ([0, 0, 8, 2, 255, 255, 255, 255, 255, 255, 255, 255], "exceed the limit"),
            ([0, 0, 8, 4] + [UInt8](repeating: 255, count: 16), "exceed the limit"),
        ] as [([UInt8], String)])
    func hostileHeaders(bytes: [UInt8], reason: String) {
        do {
            _ = try Idx.parse(bytes, path: "f")
            Issue.record("accepted \(bytes)")
        } catch {
            #expect(error.description.contains(reason), "\(error)")
        }
    }

    /// The header of a compressed file may declare gigabytes: they are refused before they are allocated, and content
    /// that goes on after the declared size is not produced.
    @Test func bombsAreRefused() {
        #expect(
            throws: TensorError.malformedFile(path: "b", reason: "35 compressed bytes cannot hold 17179869184 bytes")
        ) {
            try Gzip.inflate(Self.compressed, exactly: 16 << 30, path: "b")
        }
        #expect(
            throws: TensorError.malformedFile(
                path: "b", reason: "the compressed content is longer than the 17 bytes declared")
        ) { try Gzip.inflate(Self.compressed, exactly: 17, path: "b") }
        #expect(throws: TensorError.malformedFile(path: "b", reason: "the gzip content is damaged (zlib status -3)")) {
            try Gzip.inflate(Self.compressed.reversed(), exactly: 17, path: "b")
        }
    }
}
