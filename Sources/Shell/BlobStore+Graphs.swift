import Federation
import Ledger
import ModelGraph
import Tensors
import UpdateCodec

// Graphs travel packed and without their parameters' values, which are in snapshots.
extension BlobStore {
    /// A graph with zeros for parameters; it is as large as the model.
    package func skeleton(_ digest: Digest) throws -> Graph {
        try Graph.load(unpackedGraph(digest), path: "graph \(digest)")
    }

    /// A graph with a snapshot's parameters.
    package func graph(_ digest: Digest, parameters: NamedTensors) throws -> Graph {
        try Graph.load(skeleton: unpackedGraph(digest), path: "graph \(digest)", parameters: parameters)
    }

    private func unpackedGraph(_ digest: Digest) throws -> [UInt8] {
        try PackedBlob.unpack(get(digest), byteLimit: ModelLimits.graphByteCount)
    }
}
