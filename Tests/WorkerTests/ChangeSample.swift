import Federation
import Foundation
import Ledger
import Tensors
import Testing
import UpdateCodec

@testable import Worker

/// A small model, what training makes of it, and a disk.
final class ChangeSample {
    let folder: String
    private(set) var blobs: BlobStore
    private var random: SeededGenerator
    static let digest = Federation.Digest(hashing: [1, 2, 3])

    init(seed: UInt64) throws {
        folder = FileManager.default.temporaryDirectory.appendingPathComponent("change-\(UUID().uuidString)").path
        blobs = try BlobStore(directory: folder)
        random = SeededGenerator(seed: seed, labels: "change")
    }

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    /// The store as the next process finds it.
    func restart() throws { blobs = try BlobStore(directory: folder) }

    /// Two large tensors and a small one, each element around 1.
    func snapshot(_ masks: MaskSet = MaskSet()) throws -> Snapshot {
        var parameters = NamedTensors([
            ("a.weight", try tensor([64, 32], 1)), ("a.bias", try tensor([32], 1)),
            ("b.weight", try tensor([16, 8, 3, 3], 1)),
        ])
        masks.apply(to: &parameters)
        return Snapshot(graph: Self.digest, parameters: parameters, masks: masks)
    }

    /// Parameters after training; dead ones stay dead. Most steps are small and a few are large.
    func trained(_ snapshot: Snapshot, step: Float = 0.01) -> NamedTensors {
        var parameters = NamedTensors(
            snapshot.parameters.ordered.map { name, before in
                let after = before.floats.map {
                    $0 + step * pow(random.uniform(), 8) * (random.uniform() < 0.5 ? -1 : 1)
                }
                return (name, Tensor(after, shape: before.shape))
            })
        snapshot.masks.apply(to: &parameters)
        return parameters
    }

    private func tensor(_ extents: [Int], _ size: Float) throws -> Tensor {
        let shape = try Shape(extents)
        return Tensor((0..<shape.elementCount).map { _ in size * (random.uniform() - 0.5) }, shape: shape)
    }

    /// Masks of which each element of the weights is alive with this chance.
    func masks(alive: Float, epoch: UInt32, within earlier: MaskSet = MaskSet()) -> MaskSet {
        var bitmaps: [String: Bitmap] = [:]
        for (name, count) in [("a.weight", 2048), ("b.weight", 1152)] {
            var bitmap = Bitmap(repeating: true, count: count)
            for index in 0..<count { bitmap[index] = random.uniform() < alive && earlier[name]?[index] != false }
            bitmaps[name] = bitmap
        }
        return MaskSet(epoch: epoch, bitmaps: bitmaps)
    }

    func encode(
        _ trained: NamedTensors, since snapshot: Snapshot, _ scheme: WireScheme, seed: UInt64 = 1,
        owed: Federation.Digest?
    ) throws -> ChangeEncoder.Encoded {
        try ChangeEncoder(blobs: blobs, scheme: scheme, seed: seed)
            .encode(TrainerResult(trained), since: snapshot, digest: Self.digest, owed: owed)
    }

    func residual(_ encoded: ChangeEncoder.Encoded) throws -> NamedTensors {
        let digest = try #require(encoded.residual?.digest)
        return try Safetensors.parse(blobs.get(digest), path: "residual").tensors
    }
}

/// Deep Gradient Compression and error feedback as they are written in the papers, everything in arrays.
struct ReferenceWorker {
    let scheme: WireScheme
    /// Residual and momentum.
    var v: [String: [Float]] = [:]
    var u: [String: [Float]] = [:]

    init(_ scheme: WireScheme) { self.scheme = scheme }

    /// One task; returns its container.
    mutating func step(_ trained: NamedTensors, since snapshot: Snapshot, seed: UInt64 = 1) throws -> [UInt8] {
        var x: [String: [Float]] = [:]
        for (name, before) in snapshot.parameters.ordered {
            x[name] = try zip(trained.require(name).floats, before.floats).map { $0 - $1 }
        }
        if let limit = scheme.clipNorm {
            let all = snapshot.parameters.names.flatMap { x[$0] ?? [] }
            let norm = all.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
            let share = Float(limit / norm)
            if norm > limit { x = x.mapValues { $0.map { $0 * share } } }
        }
        var inputs = NamedTensors()
        for (name, tensor) in snapshot.parameters.ordered {
            var change = x[name] ?? []
            if scheme.momentum > 0 {
                let m = Float(scheme.momentum)
                let old = u[name] ?? change.map { _ in 0 }
                change = zip(change, old).map { $0 + m * $1 }
                for index in change.indices where snapshot.masks[name]?[index] == false { change[index] = 0 }
                u[name] = change
            }
            let owed = v[name] ?? change.map { _ in 0 }
            inputs[name] = Tensor(zip(change, owed).map { $0 + $1 }, shape: tensor.shape)
        }
        let bytes = try encode(inputs, snapshot, seed: seed)
        let decoded = try UpdateReader(bytes, layout: snapshot.layout, masks: snapshot.masks).decode()
        for (name, input) in inputs.ordered {
            let sent = try decoded.require(name).floats
            var rest = zip(input.floats, sent).map { $0 - $1 }
            for index in rest.indices where snapshot.masks[name]?[index] == false { rest[index] = 0 }
            v[name] = rest
            guard scheme.momentum > 0 else { continue }
            u[name] = zip(u[name] ?? [], sent).map { $1 == 0 ? $0 : 0 }
        }
        return bytes
    }

    private func encode(_ inputs: NamedTensors, _ snapshot: Snapshot, seed: UInt64) throws -> [UInt8] {
        var survey = UpdateSurvey(layout: snapshot.layout, masks: snapshot.masks)
        for (_, tensor) in inputs.ordered { try survey.add(tensor) }
        var writer = try UpdateWriter(
            layout: snapshot.layout,
            header: UpdateHeader(
                kind: .update, base: ChangeSample.digest.bytes, maskEpoch: snapshot.masks.epoch),
            scheme: scheme, masks: snapshot.masks, seed: seed, survey: scheme.budget == nil ? nil : survey)
        for (_, tensor) in inputs.ordered { _ = try writer.append(tensor, keeping: []) }
        return writer.finish().bytes
    }

    /// What the worker must have on disk: `momentum:NAME` behind each NAME.
    func residual(_ snapshot: Snapshot) -> NamedTensors {
        var tensors = NamedTensors()
        for (name, tensor) in snapshot.parameters.ordered {
            tensors[name] = v[name].map { Tensor($0, shape: tensor.shape) }
            tensors["momentum:" + name] = u[name].map { Tensor($0, shape: tensor.shape) }
        }
        return tensors
    }
}
