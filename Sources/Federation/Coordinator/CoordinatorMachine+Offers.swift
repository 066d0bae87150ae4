import Tensors

// What a task offer says: the work, and the cheapest way to the snapshot for this worker.

extension CoordinatorMachine {
    func offer(_ step: Step, round: Int, worker: String, held: [Digest]) -> TaskOffer {
        guard let current = history.snapshot else { preconditionFailure("an offer without a snapshot") }
        var seed = SeededGenerator(seed: plan.seed, labels: "task", String(round), worker)
        return TaskOffer(
            round: round, leaseSeconds: plan.fleet.leaseSeconds, seed: seed.next(),
            snapshot: reference(to: current, held: held), scheme: plan.wire.up,
            acceptedRounds: history.acceptedRounds[worker] ?? 0, retain: retained, changes: history.changes,
            work: work(step, worker: worker, held: held))
    }

    private func work(_ step: Step, worker: String, held: [Digest]) -> TaskWork {
        switch step {
        case .train(let recipe, let teacher, _):
            return .train(
                taught(recipe, worker: worker), teacher: teacher.map { self.teacher($0, held: held) },
                control: control(recipe, held: held),
                width: width(of: worker))
        case .score(let request, let decision): return .score(request, decision)
        case .moments(let samples, let rules): return .moments(samples: samples, rules.selection)
        case .calibrate(let samples, let scope): return .calibrate(samples: samples, scope)
        case .inputMoments(let samples, let scope): return .inputMoments(samples: samples, scope)
        case .sensitivity(let request): return .sensitivity(request)
        case .compare(let samples, let scope, _):
            guard let compact = history.compact else { preconditionFailure("a comparison without a compact file") }
            return .compare(samples: samples, scope, compact: compact)
        case .evaluate(let samples): return .evaluate(samples: samples, compact: history.compact, loss: lossInUse)
        case .logits(let request): return .logits(request)
        case .decideMask, .factorize, .simulate, .quantize, .rewind, .nest:
            preconditionFailure("\(step) needs no worker")
        }
    }

    /// The narrower model that a worker is strong enough for; nil for the whole one.
    private func width(of worker: String) -> ModelWidth? {
        let strength = sessions.values.first { $0.worker == worker }?.hello.strength ?? 1
        let share = plan.fleet.width(ofStrength: strength)
        return history.widthsInUse.first { $0.share == share }
    }

    /// What the model was trained for last, as far as the plan says it.
    var lossInUse: LossKind? {
        plan.stages.prefix(history.stageIndex + 1).reversed().lazy.compactMap { stage -> LossKind? in
            switch stage {
            case .train(let plan): plan.recipe.loss
            case .prune(let plan): plan.recipe.loss
            case .factorize(let plan): plan.recipe.loss
            // A stage that trains nothing says nothing of a loss.
            case .quantize(let plan): plan.recipe.loss
            case .distill, .evaluate: nil
            }
        }.first
    }

    /// The round before, if it was one of this stage and nothing has changed the snapshot since.
    private func control(_ recipe: TrainingRecipe, held: [Digest]) -> ControlReference? {
        guard recipe.correction == .scaffold, let control = history.control, control.stage == history.stageIndex else {
            return nil
        }
        return ControlReference(
            previous: reference(to: history.snapshots[control.base], held: held), reach: control.reach)
    }

    private func teacher(_ plan: TeacherPlan, held: [Digest]) -> TeacherReference {
        TeacherReference(
            members: plan.members.map { member in
                TeacherReference.Member(
                    source(of: member, held: held), weight: member.weight, resize: member.resize)
            }, temperature: plan.temperature, alpha: plan.alpha, features: plan.features)
    }

    private func source(of member: TeacherMember, held: [Digest]) -> TeacherReference.Source {
        switch member.source {
        case .file(let path):
            guard let blob = history.teachers[path] else { preconditionFailure("teacher \(path) is not in the ledger") }
            return .model(blob)
        case .stage(let index):
            return .snapshot(reference(to: history.snapshots[history.stageSnapshots[index]], held: held))
        case .own: return .own
        }
    }

    /// The teachers' files, and ends of stages, that the stage in progress or one to come learns from: each once, the next needed
    /// first.
    private var retained: [Digest] {
        var digests: [Digest] = []
        for stage in plan.stages[min(history.stageIndex, plan.stages.count)...] {
            guard let teacher = stage.teacher else { continue }
            let ends = teacher.stages.filter { $0 < history.stageSnapshots.count }
            let named =
                teacher.files.compactMap { history.teachers[$0]?.digest }
                + ends.map { history.snapshots[history.stageSnapshots[$0]].snapshot.digest }
            for digest in named where !digests.contains(digest) { digests.append(digest) }
        }
        return Array(digests.prefix(MessageLimits.heldSnapshots))
    }

    /// Versions whose whole snapshot the store must keep: the current one, every stage's end, the first, and the one that
    /// corrections compare the current one with.
    public static func versionsToKeep(_ history: RunHistory) -> Set<Int> {
        Set(history.stageSnapshots + [0, history.snapshots.count - 1] + (history.control.map { [$0.base] } ?? []))
    }

    /// The cheapest of: nothing (held), deltas from a held snapshot, recipe plus deltas, the whole snapshot.
    func reference(to facts: SnapshotFacts, held: [Digest]) -> SnapshotReference {
        var reference = SnapshotReference(
            version: facts.version, snapshot: facts.snapshot, graph: facts.graph, maskEpoch: facts.maskEpoch)
        let heldSet = Set(held)
        if heldSet.contains(facts.snapshot.digest) { return reference }
        var route: [DeltaReference] = []
        var cost = 0
        var version = facts.version
        while version > 0, route.count < MessageLimits.routeLength, let delta = history.snapshots[version].delta {
            route.append(delta)
            cost += delta.blob.byteCount
            version -= 1
            if cost >= facts.snapshot.byteCount { return reference }
            if heldSet.contains(delta.from) {
                reference.route = route.reversed()
                return reference
            }
        }
        if version == 0, let recipe = history.snapshots[0].recipe {
            reference.route = route.reversed()
            reference.recipe = recipe
        }
        return reference
    }
}
