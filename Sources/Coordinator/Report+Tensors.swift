import Federation
import Ledger
import ModelGraph
import Monitor
import Shell
import Tensors
import UpdateCodec

extension Report {
    /// The weights that may be pruned or quantized, as the run began and as it stands: figures for the report, which nothing in
    /// the run depends on. What cannot be read is not told.
    static func tensors(_ history: RunHistory, blobs: BlobStore) -> [Tensor] {
        guard let first = history.snapshots.first, let last = history.snapshots.last,
            let before = try? Weights(first, blobs), let after = try? Weights(last, blobs)
        else { return [] }
        let stored = history.compact.flatMap { try? Graph.load(blobs.get($0.digest), path: "compact model") }
        let ranks = history.ranks
        let began = Dictionary(
            before.layout.entries.map { ($0.name, $0.shape) }, uniquingKeysWith: { first, _ in first })
        var tensors = after.layout.entries.map { entry in
            var tensor = Tensor(
                name: entry.name, shapeBefore: began[entry.name]?.dimensions, shapeAfter: entry.shape.dimensions)
            tensor.alive = after.masks[entry.name]?.populationCount ?? entry.elementCount
            tensor.bits =
                stored?.storedBits(of: entry.name, elements: entry.elementCount) ?? history.plan.export.target.floatBits
            return tensor
        }
        // What is gone stands before what it became, else behind what it stood behind.
        var place = 0
        for entry in before.layout.entries {
            if let same = tensors.firstIndex(where: { $0.name == entry.name }) {
                place = same + 1
                continue
            }
            var gone = Tensor(name: entry.name, shapeBefore: entry.shape.dimensions)
            gone.rank = ranks[entry.name]
            place = tensors.firstIndex { $0.name.hasPrefix(entry.name + ".") } ?? min(place, tensors.count)
            tensors.insert(gone, at: place)
            place += 1
        }
        return Array(tensors.prefix(tensorLimit))
    }

    /// Shapes and masks of one snapshot's weights, without their values.
    private struct Weights {
        let layout: TensorLayout
        let masks: MaskSet

        init(_ facts: SnapshotFacts, _ blobs: BlobStore) throws {
            let file = try SnapshotFile(blobs.map(facts.snapshot.digest), path: "snapshot \(facts.snapshot.digest)")
            layout = file.layout.subset(of: try blobs.skeleton(facts.graph.digest).prunableNames)
            masks = file.masks
        }
    }
}

extension RunHistory {
    /// What layers were factorized to, by the names of their weights.
    fileprivate var ranks: [String: String] {
        let lines = summaries.compactMap(\.factorization).flatMap(\.ranks)
        return Dictionary(
            lines.compactMap { line in
                // "WEIGHT METHOD RANK", and a weight's name may hold spaces.
                let words = line.split(separator: " ", omittingEmptySubsequences: false)
                guard words.count > 2 else { return nil }
                return (words.dropLast(2).joined(separator: " "), words.suffix(2).joined(separator: " "))
            }, uniquingKeysWith: { $1 })
    }
}

extension ExportTarget {
    /// Of a weight that the file holds as a float.
    fileprivate var floatBits: Double { self == .float16 || self == .bfloat16 ? 16 : 32 }
}
