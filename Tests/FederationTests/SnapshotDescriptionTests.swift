import Federation
import Foundation
import Tensors
import Testing

struct SnapshotDescriptionTests {
    private static let graph = Digest(bytes: [UInt8](repeating: 0xab, count: 32))

    private static func describe(_ bytes: [UInt8]) throws -> SnapshotDescription {
        let url = FileManager.default.temporaryDirectory.appendingPathComponent("snapshot-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: url) }
        try Data(bytes).write(to: url)
        return try SnapshotDescription(describing: SnapshotFile(MappedFile(path: url.path), path: "snapshot"))
    }

    @Test func tellsMasksAndFigures() throws {
        var mask = Bitmap(repeating: true, count: 6)
        mask[1] = false
        mask[4] = false
        let snapshot = Snapshot(
            graph: try #require(Self.graph),
            parameters: NamedTensors([
                ("weight", Tensor([3, 0, 0, -4, 0, 0] as [Float], shape: [2, 3])),
                ("bias", Tensor([12, .nan], shape: [2])),
            ]), masks: MaskSet(epoch: 9, bitmaps: ["weight": mask]))
        let description = try Self.describe(snapshot.serialized())
        #expect(description.graph == String(repeating: "ab", count: 32))
        #expect(description.maskEpoch == 9)
        #expect(description.parameters == 8 && description.alive == 6 && description.norm == 13)
        #expect(description.tensors.map(\.name) == ["weight", "bias"])
        let (weight, bias) = (description.tensors[0], description.tensors[1])
        #expect(weight.shape == [2, 3] && weight.elements == 6 && weight.alive == 4 && weight.masked)
        #expect(weight.norm == 5 && weight.largestMagnitude == 4 && weight.zeros == 4 && weight.notFinite == 0)
        #expect(bias.alive == 2 && !bias.masked && bias.norm == 12 && bias.notFinite == 1)
        // NaN stays out of the figures, so JSON can hold them.
        let copy = try JSONDecoder().decode(SnapshotDescription.self, from: JSONEncoder().encode(description))
        #expect(copy == description)
    }

    @Test func metadataTellSnapshotsFromOthers() throws {
        let snapshot = Snapshot(graph: try #require(Self.graph), parameters: NamedTensors())
        #expect(Snapshot.isMeant(by: try Safetensors.parse(snapshot.serialized(), path: "snapshot").metadata))
        // Half of the metadata is a damaged snapshot, not something else.
        #expect(Snapshot.isMeant(by: ["pleach.maskEpoch": "1"]))
        #expect(!Snapshot.isMeant(by: ["format": "pt"]))
        #expect(throws: TensorError.self) {
            try Self.describe(Safetensors.serialize(NamedTensors(), metadata: ["pleach.maskEpoch": "1"]))
        }
    }
}
