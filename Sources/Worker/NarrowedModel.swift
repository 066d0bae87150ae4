import Compression
import Federation
import Ledger
import ModelGraph
import Shell
import Tensors
import UpdateCodec

extension LoadedModel {
    /// The part of the model that this worker trains: what its update speaks of is the snapshot's parameters at their
    /// places, less running statistics, which belong to the whole model.
    /// - Throws: `ModelError`, `CompressionError` for a change that does not fit the model.
    func narrowed(to width: ModelWidth, from blobs: BlobStore) throws -> LoadedModel {
        let narrow = try NarrowModel(
            StructureChange(parsing: blobs.get(width.change.digest)), of: blobs.skeleton(snapshot.graph))
        let graph = try narrow.graph(snapshot.parameters)
        let parameters = NamedTensors(
            narrow.trainable.compactMap { name, _ in graph.initializers[name].map { (name, $0) } })
        return LoadedModel(
            digest: digest,
            snapshot: Snapshot(graph: snapshot.graph, parameters: parameters, masks: narrow.masks(snapshot.masks)),
            graph: graph)
    }
}
