// Every decoder of bytes that another machine sends, and of files that somebody else made, as a function of bytes alone. An
// allowed but hostile peer chooses the bytes; a decoder answers with a value or a typed error. It never traps, hangs or
// allocates beyond `memoryBytes`.

import Compression
import Federation
import ModelGraph
import Tensors
import Transport
import UpdateCodec

/// One decoder under test.
public enum FuzzTarget: String, CaseIterable, Sendable {
    case workerMessage, coordinatorMessage, update, description, snapshot, calibration, moments, structure, graph, plan,
        frames
    case npy, idx, safetensors, image

    /// The most memory that one input of at most `inputBytes` may cost, on top of what the process already has.
    public static let memoryBytes = 128 << 20
    /// Mutants are cut to this length.
    public static let inputBytes = 64 << 10
    /// Skeletons stand for parameters that the file does not hold, so the caller says how many it expects.
    static let skeletonBytes = 8 << 20

    /// Decodes, and checks what must hold of a value that was accepted.
    public func decode(_ bytes: [UInt8]) {
        switch self {
        case .workerMessage:
            guard let message = try? WorkerMessage(decoding: bytes) else { return }
            expect((try? WorkerMessage(decoding: message.encoded())) != nil, "an accepted message is refused again")
        case .coordinatorMessage:
            guard let message = try? CoordinatorMessage(decoding: bytes) else { return }
            expect(
                (try? CoordinatorMessage(decoding: message.encoded())) != nil, "an accepted message is refused again")
        case .update:
            for masks in [MaskSet(), FuzzModel.masks] { decodeUpdate(bytes, masks) }
        case .description:
            guard let description = try? UpdateDescription(describing: bytes) else { return }
            expect(!description.table.isEmpty && !description.glossary.isEmpty, "a container without a description")
        case .snapshot:
            guard let snapshot = try? Snapshot(parsing: bytes, path: "fuzz") else { return }
            let again = snapshot.serialized()
            let reread = try? Snapshot(parsing: again, path: "fuzz")
            expect(reread?.serialized() == again, "a snapshot's bytes are not canonical")
        case .calibration:
            let description = try? CalibrationDescription(describing: bytes)
            guard let set = try? CalibrationSet(parsing: bytes, expecting: FuzzModel.calibrated) else { return }
            expect(description?.tensors.map(\.name) == set.names, "an accepted calibration is described otherwise")
            expect(set.serialized() == bytes, "a calibration's bytes are not canonical")
            _ = try? set.merging(set)
        case .moments:
            let description = try? MomentDescription(describing: bytes)
            for layout in FuzzModel.moments {
                guard let set = try? MomentSet(parsing: bytes, expecting: layout) else { continue }
                expect(description?.layers.map(\.name) == set.names, "accepted moments are described otherwise")
                expect(set.serialized() == bytes, "the bytes of moments are not canonical")
                var fold = MomentFold(layout)
                fold.add(set, weight: .max)
                expect(
                    fold.means().ordered.allSatisfy { $0.tensor.floats.allSatisfy(\.isFinite) },
                    "accepted moments have a mean that is not finite")
            }
        case .structure:
            guard let change = try? StructureChange(parsing: bytes) else { return }
            expect(
                (try? StructureChange(parsing: change.serialized())) == change, "a change does not survive its bytes")
            for graph in FuzzModel.graphs {
                guard let pruned = try? change.apply(to: graph, masks: MaskSet()) else { continue }
                expect((try? pruned.graph.inferShapes(batch: 2)) != nil, "a change made a graph without shapes")
            }
        case .graph:
            // As it stands, or packed as it travels.
            let file = (try? PackedBlob.unpack(bytes, byteLimit: 1 << 20)) ?? bytes
            let folder = try? Graph.load(
                file, path: ExternalDataFixture.folder + "/fuzz.onnx", skeletonByteLimit: Self.skeletonBytes,
                externalData: .besideModel)
            if let folder { Self.examine(folder) }
            guard let graph = try? Graph.load(file, path: "fuzz", skeletonByteLimit: Self.skeletonBytes) else {
                return
            }
            expect(folder?.serialized() == graph.serialized(), "without external data a folder changes a graph")
            let again = graph.serialized()
            let reread = try? Graph.load(again, path: "fuzz", skeletonByteLimit: Self.skeletonBytes)
            expect(reread != nil, "a graph that was accepted is refused again")
            Self.examine(graph)
        case .plan:
            _ = try? Plan.parse(String(decoding: bytes, as: UTF8.self), path: "fuzz", environment: [:])
        case .frames:
            let fault = HostileFrames.play(bytes)
            expect(fault == nil, fault ?? "")
        case .npy, .idx, .safetensors: decodeArrays(bytes)
        case .image: HostileImages.decode(bytes)
        }
    }

    private func decodeArrays(_ bytes: [UInt8]) {
        switch self {
        case .npy:
            guard let tensor = try? Npy.parse(bytes, path: "fuzz") else { return }
            let again = try? Npy.parse(Npy.serialize(tensor), path: "fuzz")
            expect(again == tensor, "an accepted array does not survive writing")
        case .idx:
            guard let tensor = try? Idx.parse(bytes, path: "fuzz") else { return }
            expect(tensor.bytes.count == tensor.shape.elementCount, "an accepted array has another size than its shape")
        case .safetensors:
            guard let file = try? Safetensors.parse(bytes, path: "fuzz") else { return }
            let written = Safetensors.serialize(file.tensors, metadata: file.metadata)
            let again = try? Safetensors.parse(written, path: "fuzz")
            expect(
                again?.tensors.elementCount == file.tensors.elementCount, "an accepted file does not survive writing")
            expect(again?.metadata == file.metadata, "metadata do not survive writing")
        default: preconditionFailure("\(self) is no array")
        }
    }

    /// What commands do with a graph: shapes for several batches, the summary, the form for inference, another opset.
    private static func examine(_ graph: Graph) {
        let extents = Dictionary(graph.openAxes.map { ($0, 3) }, uniquingKeysWith: { first, _ in first })
        for batch in [1, 5] { _ = try? graph.inferShapes(batch: batch, extents: extents) }
        _ = try? graph.summary(fileBytes: 0, batch: 2, extents: extents, supported: ["Conv": 13...21])
        _ = graph.batchStatistics
        Self.prune(graph)
        _ = try? graph.convertingOpset(to: 21)
    }

    /// Groups of whatever graph, and what is left without the first half of each.
    private static func prune(_ graph: Graph) {
        _ = try? graph.residualBlocks()
        guard let groups = try? graph.channelGroups() else { return }
        let kept = Dictionary(uniqueKeysWithValues: groups.groups.map { ($0.name, Array(0..<($0.channels + 1) / 2)) })
        _ = try? graph.keeping(kept, of: groups)
    }

    private func decodeUpdate(_ bytes: [UInt8], _ masks: MaskSet) {
        guard let reader = try? UpdateReader(bytes, layout: FuzzModel.layout, masks: masks) else { return }
        let tensors = try? reader.decode()
        expect(tensors?.elementCount == FuzzModel.layout.elementCount, "an accepted update does not decode")
        expect(reader.squaredNorm().isFinite, "an accepted update has a norm that is not finite")
        var fold = FoldAccumulator(layout: FuzzModel.layout)
        guard (try? fold.add(reader, weight: 3)) != nil else { return }
        expect(fold.mean().elementCount == FuzzModel.layout.elementCount, "a fold lost elements")
    }

    private func expect(_ condition: Bool, _ what: String) {
        guard condition else { fatalError("\(self): \(what)") }
    }
}
