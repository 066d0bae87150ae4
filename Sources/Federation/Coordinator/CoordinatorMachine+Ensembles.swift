// Ensembles: one public set for all, and what each worker is told of the consensus.

extension CoordinatorMachine {
    /// Why a worker's student or public set will not do, or nil.
    func publicMismatch(_ hello: Hello) -> String? {
        guard plan.hasEnsemble else { return nil }
        guard let own = hello.publicSet else {
            return
                "the plan has a stage with an ensemble and the worker has no public set: start it with --public SPEC, the same "
                + "for all workers"
        }
        if let students = hello.studentClasses, let needed = history.model?.classes, students != needed {
            return
                "the worker's student has \(students) outputs but the model has \(needed), so neither can learn from the other: "
                + "give another --student"
        }
        if let known = history.publicSet {
            guard known.name == own else {
                return
                    "the worker's public set (\(own.samples) samples, \(own.digest.short)) is not the run's "
                    + "(\(known.name.samples) samples, \(known.name.digest.short), named by \(known.worker)): give all workers "
                    + "the same --public; if \(known.worker)'s is the wrong one, mend it and start over with --fresh"
            }
            return nil
        }
        let classes = max(1, history.model?.classes ?? 1)
        guard own.samples <= LogitsRequest.largestCount / classes else {
            return
                "the worker's public set of \(own.samples) samples and the model's \(classes) outputs make more than "
                + "\(LogitsRequest.largestCount) logits: shorten it with limit= in --public"
        }
        return nil
    }

    /// Writes down the first worker's public set: every other one must be the same, after a restart too.
    mutating func namePublicSet(_ hello: Hello, worker: String) -> [CoordinatorAction] {
        guard plan.hasEnsemble, history.publicSet == nil, let name = hello.publicSet else { return [] }
        return [commit([.publicSetNamed(PublicSetFacts(name: name, worker: worker))])]
    }

    /// The recipe with what the fleet said of the public set in the round before.
    func taught(_ recipe: TrainingRecipe, worker: String) -> TrainingRecipe {
        guard let rules = recipe.ensemble?.rules, let consensus = history.consensus else { return recipe }
        var recipe = recipe
        recipe.ensemble = EnsembleLesson(
            rules, consensus: consensus.blob, share: consensus.share(leftOutBy: worker, rules))
        return recipe
    }

    /// Says when all contributions to a training round are students of the workers' own: the model that is exported gets nothing.
    func warningOfAStandstill(_ round: OpenRound, _ step: Step) -> [CoordinatorAction] {
        guard case .train = step, round.accepted.allSatisfy({ $0.submission.blob == nil }) else { return [] }
        let message =
            "in round \(round.number) all workers trained students of their own: the run's model stays as it is; start one "
            + "without --student"
        return [.log(LogEvent("diagnostic", level: .warning, ["message": .string(message)]))]
    }

    /// Parameters of a connected worker's own student; 0 without one.
    func studentParameters(of worker: String) -> Int {
        sessions.values.first { $0.worker == worker }?.hello.studentParameters ?? 0
    }
}

extension Step {
    /// Whether a result of it has a blob. Who trains a student of its own has nothing to add to the run's model.
    func yieldsBlob(studentParameters: Int) -> Bool {
        switch self {
        case .evaluate: false
        case .train(let recipe, _, _): recipe.ensemble == nil || studentParameters == 0
        case .score, .moments, .calibrate, .inputMoments, .sensitivity, .compare, .logits: true
        case .decideMask, .factorize, .simulate, .quantize, .rewind, .nest: true
        }
    }

    /// Whether workers measured their models on their test shards.
    var measuresTests: Bool {
        switch self {
        case .evaluate, .logits: true
        case .train, .score, .moments, .calibrate, .inputMoments, .sensitivity, .compare: false
        case .decideMask, .factorize, .simulate, .quantize, .rewind, .nest: false
        }
    }
}
