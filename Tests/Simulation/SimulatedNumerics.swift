import Federation
import Tensors

// Numbers instead of tensors: an update is a hash of everything that decides it, a fold is a sum of hashes. So two runs
// end with the same snapshot exactly when the same contributions, made with the same residuals, were counted once each.

/// What is true of a result that some worker made, whatever anybody says of it.
struct ResultTruth {
    /// Index of the worker, or nil when nobody honest made it.
    var worker: Int?
    var round: Int
    var base: UInt64
    /// Contents of the residual it used and of the one that follows; 0 is none.
    var residual: UInt64
    var nextResidual: UInt64
    var isTraining: Bool
}

enum SimulatedNumerics {
    static let snapshotBytes = 1_000_000
    static let deltaBytes = 150_000
    static let resultBytes = 200_000

    static let firstSnapshot: UInt64 = 101
    static let graph: UInt64 = 102
    static let size = ModelSize(parameters: 250_000, macs: 1_000_000, bytes: snapshotBytes)
    static let teacher: UInt64 = 103

    static func records(of plan: Plan, withRecipe: Bool) -> [LedgerRecord] {
        let model = ModelFacts(
            source: "simulated", parameters: 250_000, bytes: snapshotBytes, sampleShape: [], classes: nil)
        let teachers = ["teacher.onnx": reference(teacher, snapshotBytes)]
        let recipe = withRecipe ? Recipe(architecture: "mlp", seed: plan.seed) : nil
        return [
            .runStarted(run: "run", plan: plan.name, model: model, teachers: teachers),
            .snapshotPublished(
                SnapshotFacts(
                    version: 0, snapshot: reference(firstSnapshot, snapshotBytes), graph: reference(graph, 5_000),
                    maskEpoch: 0, sparsity: 0, size: size, recipe: recipe)),
        ]
    }

    static func reference(_ content: UInt64, _ byteCount: Int) -> BlobReference {
        BlobReference(digest: .simulated(content), byteCount: byteCount)
    }

    /// What one contribution adds to a fold: sums do not depend on order.
    static func share(of facts: ContributionFacts, worker: Int) -> UInt64 {
        mixed(
            UInt64(worker), UInt64(facts.round), facts.submission.blob?.digest.content ?? 0, UInt64(facts.weight),
            UInt64(facts.fullWeight), facts.width.bitPattern)
    }

    /// The snapshot that a sum of shares makes of its base.
    static func snapshot(after base: UInt64, folding sum: UInt64) -> UInt64 { mixed(base, sum, 11) }

    /// What a mask, or the way back to early weights, or another structure makes of a snapshot.
    static func snapshot(after base: UInt64, isFresh: Bool) -> UInt64 { mixed(base, isFresh ? 19 : 12) }

    /// The narrower versions of a snapshot's model.
    static func widths(_ shares: [Double], of base: SnapshotFacts) -> [ModelWidth] {
        shares.map { share in
            ModelWidth(
                share: share,
                change: reference(mixed(base.snapshot.digest.content, base.graph.digest.content, share.bitPattern), 300)
            )
        }
    }

    static func graph(of snapshot: UInt64) -> UInt64 { mixed(snapshot, 20) }

    static func delta(to snapshot: UInt64) -> UInt64 { mixed(snapshot, 13) }
    static func downlinkResidual(of snapshot: UInt64) -> UInt64 { mixed(snapshot, 14) }
    /// What a server's optimizer makes of the moments before and of what is folded.
    static func moments(after base: ServerMoments?, folding sum: UInt64) -> ServerMoments {
        ServerMoments(first: reference(mixed(base?.first.digest.content ?? 0, sum, 18), snapshotBytes))
    }

    static func snapshot(_ content: UInt64, with moments: ServerMoments) -> UInt64 {
        mixed(content, moments.first.digest.content)
    }

    /// What a sum of shares says of the model, of whatever kind.
    static func evidence(_ sum: UInt64) -> BlobReference { reference(mixed(sum, 15), 20_000) }

    /// Everything that decides a file.
    static func compact(_ decision: QuantizeDecision, of snapshot: UInt64) -> UInt64 {
        mixed(snapshot, UInt64(decision.retreats), decision.evidence.digests.reduce(16) { mixed($0, $1.content) })
    }

    /// After so many retreats nothing is left to give up.
    static let retreats = 2

    /// Of a file that can still give up something, and of everything else.
    static func accuracy(of file: QuantizationFacts?) -> Double { file?.canRetreat == true ? 0.3 : 0.5 }

    /// The result of a task: by the protocol's third promise it depends on the offer, the shard and the residual only.
    static func result(_ offer: TaskOffer, shard: UInt64, residual: UInt64) -> (content: UInt64, truth: ResultTruth) {
        var work: UInt64
        var isTraining = false
        switch offer.work {
        case .train(let recipe, let teacher, let control, let width):
            isTraining = true
            work = mixed(1, recipe.learningRate.bitPattern, recipe.part.lowerBound.bitPattern)
            if let width { work = mixed(work, width.change.digest.content) }
            if let control { work = mixed(work, control.previous.snapshot.digest.content, control.reach.bitPattern) }
            for member in teacher?.members ?? [] {
                switch member.source {
                case .snapshot(let reference): work = mixed(work, reference.snapshot.digest.content)
                case .model(let blob): work = mixed(work, blob.digest.content)
                case .own: work = mixed(work, 18)
                }
            }
        case .score: work = 2
        case .moments: work = 5
        case .calibrate: work = 3
        case .inputMoments: work = 6
        case .sensitivity: work = 7
        case .compare(_, _, let compact): work = mixed(8, compact.digest.content)
        case .evaluate: work = 4
        case .logits: work = 5
        }
        let base = offer.snapshot.snapshot.digest.content
        let content = mixed(shard, base, work, offer.seed, isTraining ? residual : 0)
        let keepsResidual = isTraining && offer.scheme.errorFeedback
        return (
            content,
            ResultTruth(
                worker: nil, round: offer.round, base: base, residual: residual,
                nextResidual: keepsResidual ? mixed(content, 17) : 0, isTraining: isTraining)
        )
    }

    /// The next version of the shared model.
    static func facts(
        _ content: UInt64, after base: SnapshotFacts, maskEpoch: UInt32, sparsity: Double, moments: ServerMoments?,
        decision: MaskDecision? = nil
    ) -> SnapshotFacts {
        let isStructural = decision?.rules.granularity.isStructural ?? false
        return SnapshotFacts(
            version: base.version + 1, snapshot: reference(content, snapshotBytes),
            graph: isStructural ? reference(graph(of: content), 5_000) : base.graph,
            maskEpoch: maskEpoch, sparsity: sparsity, size: size,
            delta: DeltaReference(
                isStructural ? .structure : .values,
                blob: reference(delta(to: content), deltaBytes), from: base.snapshot.digest, to: .simulated(content)),
            residual: reference(downlinkResidual(of: content), snapshotBytes), moments: moments)
    }
}
