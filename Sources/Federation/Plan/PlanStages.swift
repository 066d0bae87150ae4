import Yams

extension PlanReader {
    /// Reads `stages`, in order, and refuses orders that cannot work.
    func stages(in top: PlanSection) throws(PlanError) -> [StagePlan] {
        guard let entry = top["stages"] else {
            throw top.missing("stages", hint: "list at least one, such as '- train'")
        }
        guard let list = entry.node.sequence, !list.isEmpty, list.count <= 1000 else {
            throw top.mismatch("stages", "a list of 1 to 1000 stages", entry)
        }
        var stages: [StagePlan] = []
        var changes = 0
        for node in list {
            let section = try stageSection(node, line: node.mark?.line ?? entry.line)
            let stage = try self.stage(section.kind, section.body, number: stages.count + 1, in: top)
            try checkOrder(of: stage, after: stages, section.body)
            stages.append(stage)
            changes += stage.changesPlanned
            guard changes <= MessageLimits.changes else {
                // Only `prune` has steps; others are a change of their own.
                let isPrune = section.kind == "prune"
                throw PlanError(
                    path: path, line: (isPrune ? section.body["steps"]?.line : nil) ?? section.body.line,
                    message:
                        "up to stage \(stages.count) the plan takes \(changes) steps that change the structure or put weights back, "
                        + "more than \(MessageLimits.changes): lower 'steps'\(isPrune ? "" : " of 'prune' before it")")
            }
        }
        return stages
    }

    /// A stage is a word, or a mapping of one word to its options.
    private func stageSection(_ node: Node, line: Int) throws(PlanError) -> (kind: String, body: PlanSection) {
        let word: Node
        var body: Node?
        if let mapping = node.mapping {
            guard mapping.count == 1, let (key, value) = mapping.first else {
                throw PlanError(
                    path: path, line: line,
                    message: "a stage must be one word with its options, such as '- train: {rounds: 5}', found "
                        + "\(mapping.count) keys; indent options under the stage")
            }
            word = key
            body = value
        } else {
            word = node
        }
        guard let kind = word.scalar?.string, word.summary != "no value" else {
            throw PlanError(path: path, line: line, message: "a stage must be a word, found \(word.summary)")
        }
        guard let keys = Self.stageKeys.first(where: { $0.kind == kind })?.keys else {
            throw PlanError(path: path, line: word.mark?.line ?? line, message: unknownStage(kind))
        }
        let place = "stage '\(kind)'"
        // `- evaluate:` with nothing behind it means the defaults, as the bare word does.
        guard let body, body.summary != "no value" else {
            return (kind, .absent(path: path, place: place, line: line, keys: keys))
        }
        return (kind, try PlanSection(body, path: path, place: place, line: line, keys: keys))
    }

    private static let stageKeys: [(kind: String, keys: [String])] = [
        ("train", PlanKeys.train), ("distill", PlanKeys.distill), ("prune", PlanKeys.prune),
        ("factorize", PlanKeys.factorize),
        ("quantize", PlanKeys.quantize), ("evaluate", PlanKeys.evaluate),
    ]

    private func unknownStage(_ kind: String) -> String {
        let kinds = Self.stageKeys.map(\.kind)
        if PlanWordsToCome.stages.contains(kind) {
            return "stage '\(kind)' is not available in this version; available: \(kinds.joined(separator: ", "))"
        }
        return "unknown stage '\(kind.clipped)'; \(PlanSection.mend(kind, in: kinds, listing: "available"))"
    }

    private func stage(
        _ kind: String, _ section: PlanSection, number: Int, in top: PlanSection
    ) throws(PlanError) -> StagePlan {
        switch kind {
        case "train": .train(try train(in: section, number: number))
        case "distill": .distill(try distill(in: section, number: number))
        case "prune": .prune(try prune(in: section, number: number))
        case "factorize": .factorize(try factorize(in: section, number: number))
        case "quantize": .quantize(try quantize(in: section, number: number, try export(in: top, isQuantized: true)))
        case "evaluate": .evaluate(EvaluatePlan(samples: try section.integer("samples", 1...1_000_000_000)))
        default: preconditionFailure("stage '\(kind)' has keys but no reader")
        }
    }

    /// After `quantize` the scales belong to these weights, and masks of a later stage hold those of an earlier one.
    private func checkOrder(
        of stage: StagePlan, after earlier: [StagePlan], _ section: PlanSection
    ) throws(PlanError) {
        if stage.kind != "evaluate", earlier.contains(where: { $0.kind == "quantize" }) {
            throw PlanError(
                path: path, line: section.line,
                message: "stage '\(stage.kind)' cannot follow 'quantize': only 'evaluate' can; move it up")
        }
        guard case .prune(let plan) = stage else { return }
        let narrows = plan.rules.granularity == .channel || plan.rules.granularity == .head
        for case .prune(let before) in earlier where narrows && before.rules.granularity == .twoOfFour {
            throw section.error(
                "granularity",
                "granularity '\(plan.rules.granularity.word)' after '2:4' moves neighbours apart, which breaks the pattern; "
                    + "put '2:4' behind it")
        }
        try checkRewind(of: plan, after: earlier, section)
        guard let share = plan.maskedShare else { return }
        for case .prune(let before) in earlier {
            guard let masked = before.maskedShare, masked >= share else { continue }
            let help = plan.rules.granularity == .twoOfFour ? "put '2:4' before it" : "raise it"
            throw section.error(
                "sparsity",
                "stage 'prune' masks \(share) of the weights but an earlier stage already masks \(masked); \(help) or "
                    + "remove the stage")
        }
    }

    /// Factors have no earlier values.
    private func checkRewind(
        of plan: PrunePlan, after earlier: [StagePlan], _ section: PlanSection
    ) throws(PlanError) {
        guard plan.schedule == .lottery, let last = earlier.lastIndex(where: { $0.kind == "factorize" }),
            last > plan.rewindStage ?? -1
        else { return }
        throw section.error(
            section.has("rewind") ? "rewind" : "schedule",
            "schedule 'lottery' puts weights back to before stage \(last + 1) ('factorize'), which made other layers; set "
                + "'rewind' to \(last + 1) or more")
    }

    private func rounds(in section: PlanSection) throws(PlanError) -> Int {
        if let word = section["rounds"]?.node.scalar?.string, RoundMode(rawValue: word) != nil {
            throw section.error(
                "rounds",
                "'rounds' in \(section.place) is a number of rounds; 'rounds: \(word)' is written under fleet")
        }
        return try section.integer("rounds", 1...100_000, default: 5)
    }

    private func train(in section: PlanSection, number: Int) throws(PlanError) -> TrainPlan {
        let (recipe, server) = try training(in: section)
        return TrainPlan(
            rounds: try rounds(in: section), recipe: recipe, server: server,
            teacher: try optionalTeacher(in: section, number: number, recipe))
    }

    private func distill(in section: PlanSection, number: Int) throws(PlanError) -> DistillPlan {
        let (recipe, server) = try training(in: section, hasLoss: false)
        let ensemble = try ensemble(in: section)
        return DistillPlan(
            rounds: try rounds(in: section), recipe: recipe, server: server,
            teacher: try distillTeacher(in: section, number: number, isOptional: ensemble != nil), ensemble: ensemble)
    }
}

extension Plan {
    /// Rounds the whole run takes when nothing is repeated: what progress is measured against.
    public var roundsPlanned: Int {
        // A first stage that needs to know the accuracy before it measures it.
        stages.reduce(stages.first?.kind == "quantize" ? 1 : 0) { $0 + $1.roundsPlanned }
    }
}

extension StagePlan {
    /// Times that workers must adapt what they keep of their weights.
    fileprivate var changesPlanned: Int {
        if case .factorize = self { return 1 }
        if case .quantize(let plan) = self { return plan.isSimulated ? 1 : 0 }
        guard case .prune(let plan) = self else { return 0 }
        return plan.steps * ((plan.rules.granularity.isStructural ? 1 : 0) + (plan.schedule == .lottery ? 1 : 0))
    }

    /// Training rounds, one more per step that asks workers for something else, and the evaluation that ends each stage.
    public var roundsPlanned: Int {
        switch self {
        case .train(let plan): plan.rounds + 1
        case .distill(let plan): plan.rounds * (plan.ensemble == nil ? 1 : 2) + 1
        case .prune(let plan):
            plan.steps * plan.roundsPerStep + (1...plan.steps).count(where: plan.asksForScores) + 1
        case .factorize(let plan): plan.rounds + (plan.samples > 0 ? 1 : 0) + 1
        case .quantize(let plan): plan.roundsPlanned
        case .evaluate: 1
        }
    }
}
