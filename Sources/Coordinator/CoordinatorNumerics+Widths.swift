import Compression
import Federation
import ModelGraph
import Tensors
import UpdateCodec

/// The narrower models that contributions to a round may come from.
struct FoldWidths {
    let widths: [ModelWidth]
    /// What they are narrower versions of, and whose masks these are slices of.
    let graph: BlobReference
    let maskEpoch: UInt32
    let layouts: NestedLayouts
    /// By narrow width.
    let masks: [MaskSet]

    /// The place of a contribution's width; 0 is the whole model.
    /// - Returns: nil where the round has no such width.
    func number(of width: Double?) -> Int? {
        guard let width else { return 0 }
        return widths.firstIndex { $0.share == width }.map { $0 + 1 }
    }
}

extension CoordinatorNumerics {
    /// Chooses the channels of each width from the snapshot's weights.
    func nest(_ shares: [Double], base: SnapshotFacts) throws -> ComputedStep {
        let changes = try ChannelNesting.changes(of: currentGraph(), masks: current.masks, shares: shares)
        let widths = try zip(shares, changes).map { share, change in
            let bytes = change.serialized()
            return ModelWidth(
                share: share, change: BlobReference(digest: try blobs.put(bytes), byteCount: bytes.count))
        }
        return ComputedStep(outcome: StepOutcome(sparsity: base.sparsity, widths: widths))
    }

    /// What folding contributions of these widths needs: found once, and anew with another model or mask.
    /// - Returns: nil without widths.
    func foldWidths(_ widths: [ModelWidth]) throws -> FoldWidths? {
        guard !widths.isEmpty else { return nil }
        if let known = knownWidths, known.widths == widths, known.graph == current.graph,
            known.maskEpoch == current.masks.epoch
        {
            return known
        }
        let skeleton = try self.skeleton()
        let models = try widths.map { width in
            try NarrowModel(StructureChange(parsing: blobs.get(width.change.digest)), of: skeleton)
        }
        let layouts = try NestedLayouts(
            whole: current.layout,
            narrow: models.map { NarrowLayout(layout: TensorLayout($0.trainable), kept: $0.slices.kept) })
        let found = FoldWidths(
            widths: widths, graph: current.graph, maskEpoch: current.masks.epoch, layouts: layouts,
            masks: models.map { $0.masks(current.masks) })
        knownWidths = found
        return found
    }
}

extension ChannelNesting {
    /// Whether a plan's widths can be made of the model that its run begins with.
    /// - Throws: `CoordinatorError.model` with the reason.
    static func check(_ plan: Plan, graph: Graph) throws(CoordinatorError) {
        guard plan.fleet.hasWidths else { return }
        do {
            let changes = try changes(of: graph, masks: MaskSet(), shares: Array(plan.fleet.widths.dropFirst()))
            let skeleton = graph.skeleton()
            for change in changes { _ = try NarrowModel(change, of: skeleton) }
            guard changes.contains(where: { !$0.isEmpty }) else {
                throw CompressionError.nothingToPrune("group of channels", reason: nil)
            }
        } catch {
            throw CoordinatorError.model("fleet.widths: \(error)")
        }
    }
}
