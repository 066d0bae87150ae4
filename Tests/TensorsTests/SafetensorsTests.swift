import Testing

@testable import Tensors

/// A file made of `header` (its true length in front) and `data`.
private func file(_ header: String, data: [UInt8] = []) -> [UInt8] {
    let text = Array(header.utf8)
    return (0..<8).map { UInt8(truncatingIfNeeded: text.count >> (8 * $0)) } + text + data
}

private func sample() -> NamedTensors {
    var tensors = NamedTensors()
    tensors["w/é\"\\\n"] = Tensor([1, -2, 3.5, 0, .infinity, 7], shape: [2, 3])
    tensors["empty"] = Tensor(zeros: [0, 4], elementType: .int16)
    tensors["scalar"] = Tensor([Int64.min], shape: [])
    tensors["u"] = Tensor([1, 2, 3] as [UInt8], shape: [3])
    tensors["flag"] = Tensor(elements: [true, false], elementType: .bool, shape: [2])
    tensors["half"] = Tensor(elements: [0x3c00 as UInt16], elementType: .bfloat16, shape: [1])
    tensors["also empty"] = Tensor(zeros: [0], elementType: .float64)
    return tensors
}

@Suite struct SafetensorsTests {
    @Test func everyTypeRoundTripsInOrder() throws {
        var tensors = sample()
        for type in ElementType.allCases { tensors["t\(type.rawValue)"] = Tensor(zeros: [3], elementType: type) }
        let bytes = Safetensors.serialize(tensors, metadata: ["format": "pleach", "a": "\u{1}é"])
        let back = try Safetensors.parse(bytes, path: "memory")
        #expect(back.tensors == tensors)
        #expect(back.tensors.names == tensors.names)
        #expect(back.metadata == ["format": "pleach", "a": "\u{1}é"])
        #expect(Safetensors.serialize(back.tensors, metadata: back.metadata) == bytes)
        #expect(bytes[0] % 8 == 0)
    }

    @Test func goldenBytes() {
        let tensors = NamedTensors([
            ("b", Tensor([7] as [UInt8], shape: [1])), ("a", Tensor([2] as [Float], shape: [])),
        ])
        let header =
            #"{"__metadata__":{"k":"v"},"b":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"#
            + #""a":{"dtype":"F32","shape":[],"data_offsets":[1,5]}}"#
        let padding = String(repeating: " ", count: (8 - header.utf8.count % 8) % 8)
        #expect(
            Safetensors.serialize(tensors, metadata: ["k": "v"]) == file(header + padding, data: [7, 0, 0, 0, 0x40]))
    }

    @Test func emptyFileRoundTrips() throws {
        let back = try Safetensors.parse(Safetensors.serialize(NamedTensors()), path: "memory")
        #expect(back.tensors.isEmpty && back.metadata.isEmpty)
    }

    @Test func tensorsComeInOffsetOrderWhateverTheHeaderOrder() throws {
        let bytes = file(
            #"{"b":{"data_offsets":[1,2],"dtype":"U8","shape":[1]}, "a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#,
            data: [8, 9])
        let tensors = try Safetensors.parse(bytes, path: "memory").tensors
        #expect(tensors.names == ["a", "b"])
        #expect(tensors["b"]?.bytes == [9])
    }

    @Test func everyTruncationAndExtensionIsRefused() {
        let bytes = Safetensors.serialize(sample(), metadata: ["k": "v"])
        for count in 0..<bytes.count {
            #expect(throws: TensorError.self) { try Safetensors.parse(Array(bytes[..<count]), path: "cut") }
        }
        #expect(throws: TensorError.self) { try Safetensors.parse(bytes + [0], path: "long") }
    }

    /// Whatever a mutated file holds, parsing ends without a trap, and what it accepts is self-consistent.
    @Test func mutationsNeverTrap() {
        let bytes = Safetensors.serialize(sample(), metadata: ["k": "v"])
        var generator = SeededGenerator(seed: 11)
        var refused = 0
        for _ in 0..<3_000 {
            var mutated = bytes
            for _ in 0...generator.index(below: 3) {
                mutated[generator.index(below: mutated.count)] = UInt8(truncatingIfNeeded: generator.next())
            }
            guard let result = try? Safetensors.parse(mutated, path: "mutated") else {
                refused += 1
                continue
            }
            for (_, tensor) in result.tensors.ordered {
                #expect(tensor.bytes.count == tensor.elementCount * tensor.elementType.byteCount)
            }
        }
        #expect(refused > 1_000)
    }

    @Test(arguments: [
        (#"[]"#, "does not start with"),
        (#"{"a":1}"#, "'{' is expected"),
        (#"{"a":{"dtype":"U8","shape":[1]}}"#, "needs dtype, shape and two data_offsets"),
        (#"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0]}}"#, "two data_offsets"),
        (#"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1,2]}}"#, "more than 2 numbers"),
        (#"{"a":{"dtype":"U7","shape":[1],"data_offsets":[0,1]}}"#, "unsupported dtype 'U7'"),
        (#"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"x":1}}"#, "unknown key 'x'"),
        (#"{"a":{"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#, "second or unknown key 'dtype'"),
        (#"{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,1]}}"#, "cannot lie at offsets"),
        (#"{"a":{"dtype":"U8","shape":[1],"data_offsets":[1,0]}}"#, "cannot lie at offsets"),
        (#"{"a":{"dtype":"U8","shape":[-1],"data_offsets":[0,1]}}"#, "non-negative integer"),
        (#"{"a":{"dtype":"U8","shape":[1.0],"data_offsets":[0,1]}}"#, "']' is expected"),
        (#"{"a":{"dtype":"U8","shape":[01],"data_offsets":[0,1]}}"#, "leading zero"),
        (#"{"a":{"dtype":"U8","shape":[9223372036854775808],"data_offsets":[0,1]}}"#, "63 bits"),
        (#"{"a":{"dtype":"F64","shape":[4611686018427387904],"data_offsets":[0,1]}}"#, "cannot lie"),
        (#"{"a":{"dtype":"U8","shape":[4294967296,4294967296],"data_offsets":[0,1]}}"#, "invalid shape"),
        (
            #"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[0],"data_offsets":[1,1]}}"#,
            "'a' appears twice"
        ),
        (
            #"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#,
            "overlaps"
        ),
        (
            #"{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"b":{"dtype":"U8","shape":[0],"data_offsets":[1,1]}}"#,
            "leaves a hole"
        ),
        (#"{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}"#, "describes 2 bytes of tensors, the file holds 1"),
        (#"{"a":{"dtype":"BOOL","shape":[1],"data_offsets":[0,1]}}"#, "holds the byte 9"),
        (#"{"__metadata__":{"k":"1","k":"2"}}"#, "metadata key 'k' appears twice"),
        (#"{"__metadata__":{},"__metadata__":{}}"#, "appears twice"),
        (#"{"__metadata__":{"k":1}}"#, "'\"' is expected"),
        (#"{"\ud800":{}}"#, "surrogate"),
        (#"{"\x":{}}"#, "unknown escape"),
        (#"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}}"#, "follows the closing brace"),
        (#"{"a"#, "no end"),
    ])
    func hostileHeaders(header: String, reason: String) {
        do {
            _ = try Safetensors.parse(file(header, data: [9]), path: "f.safetensors")
            Issue.record("accepted \(header)")
        } catch {
            #expect(error.description.contains(reason), "\(error)")
            #expect(error.description.hasPrefix("f.safetensors: "))
        }
    }

    @Test func hostileLengths() {
        for length: [UInt8] in [
            [255, 255, 255, 255, 255, 255, 255, 255], [1, 225, 245, 5, 0, 0, 0, 0], [3, 0, 0, 0, 0, 0, 0, 0],
        ] {
            #expect(throws: TensorError.self) { try Safetensors.parse(length + [0x7b, 0x7d], path: "f") }
        }
    }

    @Test func filesRoundTripAndMissingOnesAreNamed() throws {
        try withTemporaryFolder { folder in
            let path = "\(folder)/t.safetensors"
            try Safetensors.write(sample(), path: path)
            #expect(try Safetensors.read(path: path).tensors == sample())
            #expect(throws: TensorError.unreadableFile(path: "\(folder)/none", reason: "No such file or directory")) {
                try Safetensors.read(path: "\(folder)/none")
            }
            #expect(throws: TensorError.unreadableFile(path: folder, reason: "it is not a regular file")) {
                try FileBytes.read(path: folder)
            }
            #expect(throws: TensorError.unwritableFile(path: "\(folder)/no/t", reason: "No such file or directory")) {
                try FileBytes.write([1], path: "\(folder)/no/t")
            }
        }
    }
}
