import Federation
import Foundation
import Ledger
import Tensors
import Testing
import UpdateCodec

@testable import Coordinator

/// A blob store that goes away with the test.
private final class Store {
    let path: String
    let blobs: BlobStore

    init() throws {
        path = FileManager.default.temporaryDirectory.appendingPathComponent("publish-\(UUID().uuidString)").path
        blobs = try BlobStore(directory: path)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }
}

/// A model with everything that has ever been special: several pieces, −0, a mask, a scalar, an empty tensor.
private struct Model {
    var snapshot: Snapshot
    var generator: SeededGenerator

    init(seed: UInt64, isMasked: Bool) {
        generator = SeededGenerator(seed: seed)
        var parameters = NamedTensors()
        for (name, shape) in [("a", [301, 257]), ("b", [17]), ("scalar", []), ("empty", [0, 3]), ("z", [70_000])]
            as [(String, Shape)]
        {
            parameters[name] = Self.tensor(shape, &generator)
        }
        parameters.modify("b") { $0.withMutableElements(as: Float.self) { $0[3] = -0.0 } }
        var masks = MaskSet()
        if isMasked {
            var bitmap = Bitmap(repeating: true, count: 70_000)
            for index in 0..<70_000 where generator.uniform() < 0.4 { bitmap[index] = false }
            masks = MaskSet(epoch: 1, bitmaps: ["z": bitmap])
            masks.apply(to: &parameters)
        }
        snapshot = Snapshot(graph: Digest(hashing: [1]), parameters: parameters, masks: masks)
    }

    static func tensor(_ shape: Shape, _ generator: inout SeededGenerator) -> Tensor {
        Tensor((0..<shape.elementCount).map { _ in generator.uniform() - 0.5 }, shape: shape)
    }

    /// An accumulator with three float32 contributions, and its mean.
    mutating func fold() throws -> (FoldAccumulator, NamedTensors) {
        var accumulator = FoldAccumulator(layout: snapshot.layout)
        for weight in 1...3 as ClosedRange<UInt32> {
            var tensors = NamedTensors()
            for entry in snapshot.layout.entries { tensors[entry.name] = Self.tensor(entry.shape, &generator) }
            let bytes = try UpdateEncoder.encode(
                tensors,
                header: UpdateHeader(kind: .update, base: [UInt8](0..<32), maskEpoch: snapshot.masks.epoch),
                scheme: float32, masks: snapshot.masks
            ).bytes
            try accumulator.add(
                UpdateReader(bytes, layout: snapshot.layout, masks: snapshot.masks), weight: weight)
        }
        return (accumulator, accumulator.mean())
    }
}

private let float32 = WireScheme(values: .float32, smallValues: .float32)
private let schemes = [
    float32, WireScheme(values: .float32), WireScheme(values: .int8), WireScheme(values: .ternary),
    WireScheme(selection: .topK(density: 0.05), values: .int8), WireScheme(values: .int8, errorFeedback: false),
    WireScheme(budget: 40_000),
]

/// The definition, slowly: encode all at once, decode, add, serialize.
private struct Reference {
    var snapshot: [UInt8]
    var delta: [UInt8]
    var residual: [UInt8]

    init(
        _ old: Snapshot, change: NamedTensors, owed: NamedTensors?, base: Digest, scheme: WireScheme,
        newMasks: MaskSet? = nil
    ) throws {
        var target = change
        if let owed, newMasks == nil { target.add(owed) }
        let encoded = try UpdateEncoder.encode(
            target,
            header: UpdateHeader(kind: .delta, base: base.bytes, maskEpoch: (newMasks ?? old.masks).epoch),
            scheme: scheme, masks: old.masks, newMasks: newMasks, seed: 9)
        var next = old
        let reader = try UpdateReader(encoded.bytes, layout: old.layout, masks: old.masks)
        next.masks = reader.newMasks ?? next.masks
        next.parameters.add(try reader.decode())
        next.zeroDeadWeights()
        snapshot = next.serialized()
        delta = encoded.bytes
        var rest = encoded.residual
        if let owed, let newMasks {
            rest = owed
            newMasks.apply(to: &rest)
        }
        residual = Safetensors.serialize(rest)
        let applied = try old.applying(reader)
        #expect(applied.serialized() == snapshot)
    }
}

private func facts(_ snapshot: BlobReference, residual: BlobReference?) -> SnapshotFacts {
    SnapshotFacts(
        version: 4, snapshot: snapshot, graph: snapshot, maskEpoch: 0, sparsity: 0,
        size: ModelSize(parameters: 100, macs: 1000, bytes: 1000), residual: residual)
}

@Test(arguments: schemes, [false, true])
func streamedSnapshotsAreTheOldOnePlusTheDecodedDelta(scheme: WireScheme, isMasked: Bool) throws {
    let store = try Store()
    var model = Model(seed: 3, isMasked: isMasked)
    var owed: NamedTensors?
    var residual: BlobReference?
    // Twice, so that the second round owes what the first left out.
    for _ in 0..<2 {
        let bytes = model.snapshot.serialized()
        let base = BlobReference(digest: try store.blobs.put(bytes), byteCount: bytes.count)
        let (accumulator, mean) = try model.fold()
        let expected = try Reference(model.snapshot, change: mean, owed: owed, base: base.digest, scheme: scheme)
        let published = try SnapshotPublisher(
            blobs: store.blobs, scheme: scheme, seed: 9, base: facts(base, residual: residual),
            old: SnapshotFile(store.blobs.map(base.digest), path: "old"), masks: model.snapshot.masks
        ).publish(mean: accumulator)
        let new = try store.blobs.get(published.snapshot.digest)
        #expect(new == expected.snapshot)
        let isLossless = scheme.isLossless(for: model.snapshot.layout, masks: model.snapshot.masks)
        #expect(isLossless == (scheme == float32))
        #expect((published.delta == nil) == isLossless)
        if let delta = published.delta {
            #expect(try store.blobs.get(delta.digest) == expected.delta)
            #expect(delta.byteCount < published.snapshot.byteCount)
        }
        #expect((published.residual != nil) == (scheme.errorFeedback && !isLossless))
        residual = published.residual
        if let residual {
            let bytes = try store.blobs.get(residual.digest)
            #expect(bytes == expected.residual)
            owed = try Safetensors.parse(bytes, path: "r").tensors
            #expect(abs(published.residualNorm - (owed?.norm ?? 0)) < 1e-6)
        }
        model.snapshot = try Snapshot(parsing: new, path: "new")
        #expect(abs(published.norm - model.snapshot.norm) < 1e-6 * model.snapshot.norm)
    }
}

@Test(arguments: schemes)
func aNewMaskTakesWhatIsOwedToDeadWeightsWithIt(scheme: WireScheme) throws {
    let store = try Store()
    var model = Model(seed: 5, isMasked: true)
    let bytes = model.snapshot.serialized()
    let base = BlobReference(digest: try store.blobs.put(bytes), byteCount: bytes.count)
    var owed = NamedTensors()
    for entry in model.snapshot.layout.entries { owed[entry.name] = Model.tensor(entry.shape, &model.generator) }
    model.snapshot.masks.apply(to: &owed)
    let rest = Safetensors.serialize(owed)
    let residual = BlobReference(digest: try store.blobs.put(rest), byteCount: rest.count)
    var masks = model.snapshot.masks
    masks.epoch += 1
    var bitmap = Bitmap(repeating: true, count: 301 * 257)
    for index in stride(from: 0, to: bitmap.count, by: 3) { bitmap[index] = false }
    masks.bitmaps["a"] = bitmap
    let zeros = NamedTensors(model.snapshot.layout.entries.map { ($0.name, Tensor(zeros: $0.shape)) })
    let expected = try Reference(
        model.snapshot, change: zeros, owed: owed, base: base.digest, scheme: scheme, newMasks: masks)
    let published = try SnapshotPublisher(
        blobs: store.blobs, scheme: scheme, seed: 9, base: facts(base, residual: residual),
        old: SnapshotFile(store.blobs.map(base.digest), path: "old"), masks: masks
    ).publish(maskFrom: model.snapshot.masks)
    #expect(try store.blobs.get(published.snapshot.digest) == expected.snapshot)
    #expect(try published.delta.map { try store.blobs.get($0.digest) } == expected.delta)
    if let residual = published.residual { #expect(try store.blobs.get(residual.digest) == expected.residual) }
}

@Test func aFailedPublicationLeavesNothingBehind() throws {
    let store = try Store()
    var model = Model(seed: 3, isMasked: false)
    let bytes = model.snapshot.serialized()
    let base = BlobReference(digest: try store.blobs.put(bytes), byteCount: bytes.count)
    let (accumulator, _) = try model.fold()
    // A residual that is not there.
    let missing = BlobReference(digest: Digest(hashing: [9]), byteCount: 1)
    let publisher = SnapshotPublisher(
        blobs: store.blobs, scheme: WireScheme(values: .int8), seed: 9, base: facts(base, residual: missing),
        old: try SnapshotFile(store.blobs.map(base.digest), path: "old"), masks: MaskSet())
    #expect(throws: LedgerError.self) { try publisher.publish(mean: accumulator) }
    #expect(store.blobs.list() == [base.digest])
    #expect(try FileManager.default.contentsOfDirectory(atPath: store.path + "/temporary").isEmpty)
}
