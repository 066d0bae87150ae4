import Federation
import Ledger
import ModelGraph
import Tensors

/// A member's model on disk: its parameters in a safetensors file, with whose they are in its metadata.
struct MemberFiles {
    private static let studentKey = "pleach.student"
    let blobs: BlobStore
    /// Of the worker's own student; nil for its version of the run's model.
    let student: String?

    private var owner: String { student ?? "shared" }

    func write(_ parameters: NamedTensors) throws -> Digest {
        let writer = try blobs.makeWriter(.durable)
        let entries = parameters.ordered.map {
            (name: $0.name, elementType: $0.tensor.elementType, shape: $0.tensor.shape)
        }
        try writer.append(Safetensors.header(of: entries, metadata: [Self.studentKey: owner]))
        for (_, tensor) in parameters.ordered { try writer.append(tensor.bytes) }
        return try writer.finish().digest
    }

    /// A model with the values that were kept of it.
    /// - Returns: the model as it is where nothing was kept, or another student's.
    func restore(_ digest: Digest?, into graph: Graph) throws -> Graph {
        guard let digest else { return graph }
        let file = try SafetensorsFile(blobs.map(digest), path: "the model \(digest.short) of round before")
        guard file.metadata[Self.studentKey] == owner else { return graph }
        var parameters = NamedTensors()
        for (name, _) in graph.parameterTensors().ordered {
            guard let tensor = try file.tensor(name) else {
                throw TaskFailure("what was kept of the student \(owner) lacks '\(name)': has its file changed since?")
            }
            parameters[name] = tensor
        }
        return try graph.replacingParameters(parameters)
    }
}

extension MemberMemory {
    /// The same without the blobs that are lost; of those, `earlier` may have one that is not.
    func without(_ isLost: (Digest) throws -> Bool, earlier: MemberMemory? = nil) rethrows -> MemberMemory {
        var kept = self
        if let model, try isLost(model) {
            kept.model = nil
            kept.trainedRound = nil
            if let older = earlier?.model, try !isLost(older) {
                kept.model = older
                kept.trainedRound = earlier?.trainedRound
            }
        }
        if let logits, try isLost(logits) { kept.logits = nil }
        return kept
    }
}
