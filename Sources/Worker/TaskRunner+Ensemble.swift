import Engine
import Federation
import Ledger
import ModelGraph
import Shell
import Tensors
import UpdateCodec

// A worker's part in an ensemble: the model that it trains and speaks with, and what it learns from the others.

extension TaskRunner {
    private var memberFiles: MemberFiles { MemberFiles(blobs: blobs, student: data.student?.word) }

    private func publicSet() throws -> PublicSet {
        guard let set = data.publicSet else { throw TaskFailure("an ensemble needs a public set: give --public") }
        return set
    }

    /// What a training task trains: in an ensemble stage the worker's own student, if it has one.
    func trainee(_ model: LoadedModel, _ recipe: TrainingRecipe, member: MemberMemory?, seed: UInt64) throws
        -> LoadedModel
    {
        guard recipe.ensemble != nil, data.student != nil else { return model }
        return try ownStudent(beside: model, member: member, seed: seed)
    }

    private func ownStudent(beside model: LoadedModel, member: MemberMemory?, seed: UInt64) throws -> LoadedModel {
        guard let student = data.student, let classes = try model.graph.outputExtent() else { return model }
        let graph = try memberFiles.restore(member?.model, into: student.graph(classes: classes, seed: seed))
        // No mask says anything of it; the epoch stays the round's.
        let snapshot = Snapshot(
            graph: model.snapshot.graph, parameters: graph.parameterTensors(),
            masks: MaskSet(epoch: model.snapshot.masks.epoch))
        return LoadedModel(digest: model.digest, snapshot: snapshot, graph: graph)
    }

    /// The public batches of a training task; nil where it has none to learn from.
    func publicLessons(
        _ recipe: TrainingRecipe, _ model: LoadedModel, member: MemberMemory?, batches: Int, seed: UInt64
    ) throws -> PublicLessons? {
        guard let lesson = recipe.ensemble, let blob = lesson.consensus else { return nil }
        let set = try publicSet()
        try set.data.checkFits(model.graph)
        guard let classes = try model.graph.outputExtent() else {
            throw TaskFailure("an ensemble needs a model with a row of logits for each sample")
        }
        let layout = try LogitsTable.layout(LogitsRequest(samples: set.data.count, classes: classes))
        let masks = MaskSet(epoch: model.snapshot.masks.epoch)
        let consensus = try logits(blob.digest, layout, masks)
        var rows = try consensus.decode().require(LogitsTable.tensorName)
        // What was sent is what the mean has of it. Without it (a lost file) one's own part stays in.
        if lesson.share > 0, let own = member?.logits, blobs.contains(own) {
            let sent = try logits(own, layout, masks)
            if sent.header.base == consensus.header.base {
                rows = LogitsTable.leavingOut(
                    try sent.decode().require(LogitsTable.tensorName), share: lesson.share, of: rows)
            }
        }
        return try PublicLessons(
            lesson.rules, of: set, consensus: rows, batch: recipe.batch, among: batches, seed: seed)
    }

    private func logits(_ digest: Federation.Digest, _ layout: TensorLayout, _ masks: MaskSet) throws -> UpdateReader {
        let reader = try UpdateReader(blobs.map(digest), layout: layout, masks: masks, threads: threads)
        guard reader.header.kind == .logits, reader.newMasks == nil else {
            throw TaskFailure("blob \(digest.short) does not hold logits")
        }
        return reader
    }

    /// Keeps a member's model for the round of logits, and a student of its own for all rounds to come.
    /// - Returns: whether it is the worker's own, of which nothing is sent.
    func keepMember(
        _ parameters: NamedTensors, _ recipe: TrainingRecipe, round: Int, before member: MemberMemory?
    ) throws -> Bool {
        guard recipe.ensemble != nil else { return false }
        var next = member ?? MemberMemory()
        next.model = try memberFiles.write(parameters)
        next.trainedRound = round
        nextMember = next
        return data.student != nil
    }

    /// What the worker's model says of the public set, and how good it is on its own test shard.
    func logits(
        _ model: LoadedModel, _ request: LogitsRequest, member: MemberMemory?, offer: TaskOffer, pace: Pace
    ) throws -> (BlobReference?, Digest?, TaskMetrics) {
        let set = try publicSet()
        guard set.data.count == request.samples else {
            throw TaskFailure("the public set has \(set.data.count) samples, not \(request.samples)")
        }
        let speaker = try speaker(model, request, member: member, seed: offer.seed)
        let rows = try LogitsTable.centered(logits(of: speaker.graph, request, set, pace: pace))
        let encoded = try UpdateEncoder.encode(
            NamedTensors([(LogitsTable.tensorName, rows)]),
            header: UpdateHeader(kind: .logits, base: model.digest.bytes, maskEpoch: model.snapshot.masks.epoch),
            scheme: LogitsTable.scheme(offer.scheme), masks: MaskSet(epoch: model.snapshot.masks.epoch),
            threads: threads)
        let blob = try store(encoded.bytes)
        var next = member ?? MemberMemory()
        next.logits = blob.digest
        nextMember = next
        var metrics = TaskMetrics(samples: 1)
        if data.test.count > 0 {
            metrics = try evaluate(speaker, samples: nil, compact: nil, loss: nil, pace: pace).2
        }
        metrics.samples = data.training.count
        metrics.bitsPerWeight = encoded.bitsPerWeight
        return (blob, nil, metrics)
    }

    /// The model that speaks: the worker's own once it has trained, or the run's as this worker trained it in the round before, if that counted.
    private func speaker(
        _ model: LoadedModel, _ request: LogitsRequest, member: MemberMemory?, seed: UInt64
    ) throws -> LoadedModel {
        if let student = data.student {
            // A teacher that knows nothing is worse than none: the run's model speaks for it.
            if student.beginsAtRandom, member?.model == nil { return model }
            return try ownStudent(beside: model, member: member, seed: seed)
        }
        guard member?.trainedRound == request.trainedRound else { return model }
        var own = model
        own.graph = try memberFiles.restore(member?.model, into: model.graph)
        return own
    }

    /// float32 [samples, classes], computed in blocks whose size follows from graph and samples alone.
    private func logits(
        of graph: Graph, _ request: LogitsRequest, _ set: PublicSet, pace: Pace
    ) throws -> Tensor {
        try set.data.checkFits(graph)
        let executable = try Executable(graph)
        var values: [Float] = []
        values.reserveCapacity(request.samples * request.classes)
        let size = set.data.evaluationBatch(for: graph)
        let damage = try set.data.visit(Array(0..<request.samples), batch: size) { loaded, fraction in
            try pace.step(fraction)
            let rows = try executable.logits(loaded.batch.inputs)
            guard rows.elementType == .float32, rows.shape == [loaded.indices.count, request.classes] else {
                throw TaskFailure(
                    "the model says \(rows.elementType) \(rows.shape) of \(loaded.indices.count) samples, not a row of "
                        + "\(request.classes) logits for each")
            }
            rows.withElements(as: Float.self) { values += $0 }
        }
        guard damage.damaged == 0, values.count == request.samples * request.classes else {
            throw TaskFailure("\(damage.damaged) samples of the public set can no longer be read")
        }
        return Tensor(values, shape: try Shape([request.samples, request.classes]))
    }
}
