import Federation
import Foundation
import Ledger
import ModelGraph
import Tensors
import Testing
import UpdateCodec

/// `pleach update inspect` explains every kind of blob, in text and in JSON, and refuses the rest in one line.
struct InspectTests {
    /// A blob of each kind, with a phrase of its text and keys of its JSON.
    private struct Sample {
        var kind: String
        var bytes: [UInt8]
        var phrase: String
        var keys: Set<String>
    }

    private static func container(_ kind: UpdateKind) throws -> [UInt8] {
        let values = (0..<5_000).map { Float($0 % 31) - 15 }
        let header = UpdateHeader(kind: kind, base: [UInt8](repeating: 1, count: 32), maskEpoch: 0)
        return try UpdateEncoder.encode(
            NamedTensors([("w", Tensor(values, shape: [5_000]))]), header: header,
            scheme: WireScheme(selection: .topK(density: 0.1), values: .int4)
        ).bytes
    }

    private static func samples() throws -> [Sample] {
        let graph = try ModelBuilder.build(
            architecture: "cnn", inputShape: [1, 28, 28], classes: 10, width: 2, seed: 1)
        let packed = PackedBlob.pack(graph.serializedSkeleton())
        let parameters = graph.parameterTensors()
        let snapshot = Snapshot(graph: Digest(hashing: packed), parameters: parameters)
        let residual = NamedTensors([
            ("w", Tensor([3, 4] as [Float], shape: [2])), ("momentum:w", Tensor([1, 0] as [Float], shape: [2])),
        ])
        let containers = try [UpdateKind.update, .delta, .scores].map { kind in
            Sample(
                kind: "\(kind)", bytes: try container(kind), phrase: "as float32 the same would take 20000 bytes",
                keys: ["base", "maskEpoch", "tensors", "bitsPerWeight", "packing", "bodyBytes", "ratio"])
        }
        return containers + [
            Sample(
                kind: "graph", bytes: packed, phrase: "Conv 2",
                keys: ["unpackedBytes", "operators", "parameters", "inputs", "outputs"]),
            Sample(
                kind: "model", bytes: graph.serialized(), phrase: "nonzero parameters",
                keys: ["parameters", "nonzeroParameters", "operators"]),
            Sample(
                kind: "snapshot", bytes: snapshot.serialized(), phrase: snapshot.graph.hex,
                keys: ["graph", "maskEpoch", "tensors", "alive", "norm"]),
            Sample(
                kind: "residual", bytes: Safetensors.serialize(residual), phrase: "momentum", keys: ["tensors", "norm"]
            ),
            // One tensor "x" of which no value was counted.
            Sample(
                kind: "calibration", bytes: Array("PLCAL1\n\0".utf8) + [1, 1, 0x78, 0],
                phrase: "calibration set of 1 tensors", keys: ["tensors"]),
        ] + quantizationSamples
    }

    /// What is measured for a quantized file and said of it.
    private static var quantizationSamples: [Sample] {
        var comparison = Array("PLCMP1\n\0".utf8)
        func append(_ value: some FixedWidthInteger) {
            withUnsafeBytes(of: value.littleEndian) { comparison.append(contentsOf: $0) }
        }
        for count in [3, 4] as [UInt64] { append(count) }
        for count in [1, 1] as [UInt32] { append(count) }
        comparison.append(UInt8(ascii: "w"))
        for sum in [100, 1, 100, 101] as [Double] { append(sum.bitPattern) }
        let sensitivities = Safetensors.serialize(
            NamedTensors([("sensitivities", Tensor([0.5, 0.125] as [Float], shape: [1, 2]))]),
            metadata: ["format": "pleach sensitivities", "layers": "[\"w\"]", "bits": "4,8"])
        let explanation = """
            {"agreement":null,"facts":{"canRetreat":false,"floatNodes":[],"givenUp":["w: float32"],"layers":0,"remarks":[],\
            "target":"x86"},"front":[],"layers":[]}
            """
        return [
            Sample(
                kind: "comparison", bytes: comparison, phrase: "3 of 4 outputs agree",
                keys: ["layers", "outputs", "agreeing"]),
            Sample(
                kind: "sensitivities", bytes: sensitivities, phrase: "what each of 1 layers costs",
                keys: ["layers", "bits"]),
            Sample(
                kind: "explanation", bytes: Array(explanation.utf8), phrase: "given up: w: float32",
                keys: ["agreement", "facts", "layers"]),
        ]
    }

    static func json(_ path: String) async throws -> [String: Any] {
        let (status, text) = try await PleachProcess.run(["update", "inspect", path, "--json"])
        #expect(status == 0, "\(text)")
        return try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
    }

    @Test func everyKindIsExplained() async throws {
        let folder = try ScratchFolder()
        for sample in try Self.samples() {
            // The name tells nothing of the kind.
            let digest = Digest(hashing: sample.bytes).hex
            let path = folder.path + "/" + digest
            try FileBytes.write(sample.bytes, path: path)
            let (status, text) = try await PleachProcess.run(["update", "inspect", path])
            #expect(status == 0, "\(text)")
            #expect(text.hasPrefix("SHA-256 \(digest)\nthe file's name is its digest\n"), "\(text)")
            #expect(text.contains(sample.phrase), "\(text)")
            let json = try await Self.json(path)
            #expect(json["kind"] as? String == sample.kind)
            #expect(json["digest"] as? String == digest)
            #expect(json["bytes"] as? Int == sample.bytes.count)
            #expect(json["nameMatches"] as? Bool == true)
            #expect(sample.keys.isSubset(of: json.keys), "\(sample.kind): \(json.keys.sorted())")
        }
    }

    @Test func aNameOfAnotherDigestIsTold() async throws {
        let folder = try ScratchFolder()
        let path = folder.path + "/" + String(repeating: "ab", count: 32)
        try FileBytes.write(try Self.container(.delta), path: path)
        let (status, text) = try await PleachProcess.run(["update", "inspect", path])
        #expect(status == 0 && text.contains("NOT its digest"), "\(text)")
        #expect(try await Self.json(path)["nameMatches"] as? Bool == false)
        let plain = try await Self.json(PleachProcess.root.path + "/protocols/vectors/mask-change.bin")
        #expect(plain["nameMatches"] == nil && plain["kind"] != nil)
    }

    @Test func whatIsDamagedIsRefusedByItsOwnDecoder() async throws {
        let folder = try ScratchFolder()
        let statuses: [String: Int32] = ["graph": 4, "model": 3, "calibration": 3]
        for sample in try Self.samples() {
            let path = folder.path + "/" + sample.kind
            try FileBytes.write(Array(sample.bytes.dropLast()), path: path)
            try await Self.expectRefusal(path, statuses[sample.kind] ?? 4, "")
        }
    }

    @Test func otherFilesAreRefusedWithTheKnownKinds() async throws {
        let folder = try ScratchFolder()
        for (name, text) in [("empty", ""), ("plan.yaml", smallPlan()), ("json", "{\"a\": 1, \"b\": 2}")] {
            let path = try folder.file(name, text)
            try await Self.expectRefusal(path, 4, "packed graphs, ONNX models, snapshots")
        }
        try await Self.expectRefusal(folder.path, 4, "folder")
        try await Self.expectRefusal(folder.path + "/missing", 4, "no such file")
    }

    private static func expectRefusal(_ path: String, _ expected: Int32, _ phrase: String) async throws {
        let (status, text) = try await PleachProcess.run(["update", "inspect", path])
        #expect(status == expected, "\(path): \(text)")
        #expect(text.hasPrefix("error: ") && text.split(separator: "\n").count == 1, "\(path): \(text)")
        #expect(phrase.isEmpty || text.contains(phrase), "\(path): \(text)")
    }
}
