import Federation
import Ledger
import ModelGraph
import Shell
import Tensors
import UpdateCodec

// What the members of an ensemble say together.

extension CoordinatorNumerics {
    /// Stores the mean of all logits, in half precision: what quantization took from them is far more than that.
    /// - Parameter isExact: where parts of it are taken out again, which makes what rounding took larger.
    func consensus(_ mean: NamedTensors, isExact: Bool, base: SnapshotFacts) throws -> BlobReference {
        let masks = LogitsTable.masks(current.masks)
        let encoded = try UpdateEncoder.encode(
            mean, header: UpdateHeader(kind: .logits, base: base.snapshot.digest.bytes, maskEpoch: masks.epoch),
            scheme: WireScheme(values: isExact ? .float32 : .float16, smallTensorElements: 0), masks: masks,
            threads: threads)
        return BlobReference(digest: try blobs.put(encoded.bytes), byteCount: encoded.bytes.count)
    }
}

extension Plan {
    /// Whether a plan's ensembles can be made of the model that its run begins with: a row of logits for each sample.
    /// - Throws: `CoordinatorError.model` with the reason.
    func checkEnsembles(_ graph: Graph) throws(CoordinatorError) {
        guard hasEnsemble else { return }
        let shape = (try? graph.inferShapes(batch: 1))?[graph.outputs.first?.name ?? ""]
        let extent = (try? graph.outputExtent()) ?? nil
        guard extent != nil, shape.map({ $0.rank == 2 }) ?? true else {
            throw .model(
                "ensemble: the model's first output is no row of logits for each sample, so workers cannot learn from each "
                    + "other's; give a classifier")
        }
    }
}
