import Federation
import Ledger
import ModelGraph
import UpdateCodec

extension BlobStore {
    /// Puts a model into the store as the snapshot that a run begins with.
    func opening(_ model: Graph) throws -> SnapshotReference {
        let skeleton = PackedBlob.pack(model.skeleton().serialized())
        let graph = BlobReference(digest: try put(skeleton), byteCount: skeleton.count)
        let bytes = Snapshot(graph: graph.digest, parameters: model.parameterTensors()).serialized()
        return SnapshotReference(
            version: 0, snapshot: BlobReference(digest: try put(bytes), byteCount: bytes.count), graph: graph,
            maskEpoch: 0)
    }
}
