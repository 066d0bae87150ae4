import Testing

@testable import Tensors

/// An npy file of version 1.0 around a header text.
private func file(_ header: String, data: [UInt8] = [], version: UInt8 = 1) -> [UInt8] {
    let text = Array(header.utf8)
    let length = (0..<(version == 1 ? 2 : 4)).map { UInt8(truncatingIfNeeded: text.count >> (8 * $0)) }
    return [0x93] + Array("NUMPY".utf8) + [version, 0] + length + text + data
}

@Suite struct NpyTests {
    /// Written by NumPy 2: `np.save(f, np.array([[1, 2, 3], [4, 5, 6]], '<f4'))`.
    @Test func bytesAreNumPys() throws {
        let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }"
        let tensor = Tensor([1, 2, 3, 4, 5, 6] as [Float], shape: [2, 3])
        let expected = file(header + String(repeating: " ", count: 117 - header.utf8.count) + "\n", data: tensor.bytes)
        #expect(expected.count == 128 + 24)
        #expect(try Npy.serialize(tensor) == expected)
        #expect(try Npy.parse(expected, path: "m") == tensor)
    }

    @Test(arguments: ElementType.allCases, [[], [0], [3], [2, 1, 3]])
    func everyTypeRoundTrips(type: ElementType, dimensions: [Int]) throws {
        let tensor = Tensor(zeros: try Shape(dimensions), elementType: type)
        guard type != .bfloat16 else {
            #expect(throws: TensorError.self) { try Npy.serialize(tensor) }
            return
        }
        let bytes = try Npy.serialize(tensor)
        #expect(bytes.count == 128 + tensor.bytes.count || bytes.count == 64 + tensor.bytes.count)
        #expect(try Npy.parse(bytes, path: "m") == tensor)
    }

    @Test(arguments: [1, 2, 3] as [UInt8])
    func allVersionsAndSpellingsAreRead(version: UInt8) throws {
        for header in [
            "{'descr': '|u1', 'fortran_order': False, 'shape': (2,), }\n",
            "{\"shape\":(2),\"descr\":\"|u1\",\"fortran_order\":True}",
        ] {
            let bytes = file(header, data: [7, 9], version: version)
            #expect(try Npy.parse(bytes, path: "m") == Tensor([7, 9] as [UInt8], shape: [2]))
        }
    }

    @Test func everyTruncationAndExtensionIsRefused() throws {
        let bytes = try Npy.serialize(Tensor([1, 2, 3] as [Int64], shape: [3]))
        for count in 0..<bytes.count {
            #expect(throws: TensorError.self) { try Npy.parse(Array(bytes[..<count]), path: "cut") }
        }
        #expect(throws: TensorError.self) { try Npy.parse(bytes + [0], path: "long") }
    }

    @Test func mutationsNeverTrap() throws {
        let bytes = try Npy.serialize(Tensor([1, 2, 3, 4] as [Float], shape: [2, 2]))
        var generator = SeededGenerator(seed: 5)
        var refused = 0
        for _ in 0..<3_000 {
            var mutated = bytes
            for _ in 0...generator.index(below: 3) {
                mutated[generator.index(below: 70)] = UInt8(truncatingIfNeeded: generator.next())
            }
            if let tensor = try? Npy.parse(mutated, path: "mutated") {
                #expect(tensor.bytes.count == tensor.elementCount * tensor.elementType.byteCount)
            } else {
                refused += 1
            }
        }
        #expect(refused > 2_000)
    }

    @Test(arguments: [
        ("", "'{' is expected"),
        ("{}", "needs descr, fortran_order and shape"),
        ("{'descr': '<f4', 'fortran_order': False}", "needs descr"),
        ("{'descr': '>f4', 'fortran_order': False, 'shape': (1,)}", "'>f4' is not supported"),
        ("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}", "structured types"),
        ("{'descr': '<f4', 'fortran_order': True, 'shape': (1, 1)}", "Fortran order"),
        ("{'descr': '<f4', 'fortran_order': None, 'shape': (1,)}", "'False' is expected"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}", "does not fit the 4 data bytes"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}", "not a tuple"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}", "not a tuple"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296)}", "is invalid"),
        ("{'descr': '<f8', 'fortran_order': False, 'shape': (2305843009213693952,)}", "does not fit"),
        ("{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (1,)}", "appears twice"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'x': 1}", "unknown key 'x'"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (1,)} 1", "something follows"),
        ("{'descr': '<f4", "malformed"),
        ("{'descr': '|b1', 'fortran_order': False, 'shape': (4,)}", "bool array holds the byte 9"),
    ])
    func hostileHeaders(header: String, reason: String) {
        do {
            _ = try Npy.parse(file(header, data: [9, 0, 0, 0]), path: "x.npy")
            Issue.record("accepted \(header)")
        } catch {
            #expect(error.description.contains(reason), "\(error)")
        }
    }

    @Test func filesRoundTrip() throws {
        try withTemporaryFolder { folder in
            let tensor = Tensor([1, 2] as [Int64], shape: [2])
            try Npy.write(tensor, path: "\(folder)/y.npy")
            #expect(try Npy.read(path: "\(folder)/y.npy") == tensor)
        }
    }
}
