import Federation
import Foundation
import Ledger
import ModelGraph
import Shell
import UpdateCodec

@testable import Coordinator

/// A store with the first snapshot of a model, in a folder that goes away with it.
final class OpeningStore {
    let folder: String
    let blobs: BlobStore
    let base: SnapshotFacts

    init(_ graph: Graph) throws {
        folder = FileManager.default.temporaryDirectory.appendingPathComponent("opening-\(UUID().uuidString)").path
        blobs = try BlobStore(directory: folder)
        let skeleton = PackedBlob.pack(graph.serializedSkeleton())
        let reference = BlobReference(digest: try blobs.put(skeleton), byteCount: skeleton.count)
        let bytes = Snapshot(graph: reference.digest, parameters: graph.parameterTensors()).serialized()
        base = SnapshotFacts(
            version: 0, snapshot: BlobReference(digest: try blobs.put(bytes), byteCount: bytes.count),
            graph: reference, maskEpoch: 0, sparsity: 0, size: ModelSize(of: graph))
    }

    deinit { try? FileManager.default.removeItem(atPath: folder) }
}
