import Yams

// Reads a `prune` stage and refuses what cannot go together.

extension PlanReader {
    func prune(in section: PlanSection, number: Int) throws(PlanError) -> PrunePlan {
        let schedule = try schedule(in: section)
        let rules = try rules(in: section, schedule)
        let (recipe, server) = try training(in: section, schedule: "learningRateSchedule")
        let plan = PrunePlan(
            rules: rules, target: try target(in: section, rules), schedule: schedule,
            steps: try section.integer(
                "steps", 1...1000, default: schedule == .oneShot || rules.granularity == .twoOfFour ? 1 : 4),
            roundsPerStep: try section.integer("roundsPerStep", 0...1000, default: 1),
            rewindStage: try rewindStage(in: section, schedule, number: number),
            regrow: try section.number("regrow", .above(0, below: 1), default: 0.3),
            recipe: recipe, server: server, teacher: try optionalTeacher(in: section, number: number, recipe),
            scoreSamples: try section.integer("scoreSamples", 1...1_000_000_000, default: 1024))
        if case .milliseconds = plan.target, rules.rule != .scores {
            throw section.error(
                "rule", "rule '\(rules.rule)' cannot keep a budget of milliseconds: workers do not measure; give 'macs'"
            )
        }
        guard section.has("scoreSamples") == false || (1...plan.steps).contains(where: plan.asksForScores) else {
            throw section.error(
                "scoreSamples",
                "'scoreSamples' in stage 'prune' needs a criterion that reads data: \(words(where: \.readsData))")
        }
        return plan
    }

    private func schedule(in section: PlanSection) throws(PlanError) -> SparsityScheduleKind {
        let granularity = try granularity(in: section)
        let schedule = try section.choice(
            "schedule", Choices(SparsityScheduleKind.self), default: granularity == .twoOfFour ? .oneShot : .cubic)
        let steps = try section.integer("steps", 1...1000, default: 1)
        guard granularity != .twoOfFour || steps == 1 else {
            throw section.error(
                "steps",
                "granularity '2:4' is reached in 1 step, found \(steps); set 'roundsPerStep' for recovery rounds")
        }
        guard schedule != .oneShot || steps == 1 else {
            throw section.error(
                "steps",
                "schedule 'oneShot' prunes in 1 step, found \(steps); set 'roundsPerStep' for recovery rounds")
        }
        guard granularity != .twoOfFour || schedule == .oneShot || schedule == .lottery else {
            throw section.error(
                "schedule", "granularity '2:4' has one sparsity, so its schedule is oneShot or lottery, not \(schedule)"
            )
        }
        guard schedule != .dynamic || granularity == .weight else {
            throw section.error(
                "schedule", "schedule 'dynamic' revives single weights: it needs granularity: weight")
        }
        if schedule != .dynamic, section.has("regrow") {
            throw section.error("regrow", "'regrow' in stage 'prune' needs schedule: dynamic")
        }
        return schedule
    }

    private func granularity(in section: PlanSection) throws(PlanError) -> PruningGranularity {
        let words = PruningGranularity.allCases.map { ($0.word, $0) }
        return try section.choice("granularity", Choices(known: words), default: .weight)
    }

    // MARK: Rules

    private func rules(
        in section: PlanSection, _ schedule: SparsityScheduleKind
    ) throws(PlanError) -> MaskRules {
        let granularity = try granularity(in: section)
        let rule = try section.choice("rule", .named(MaskRuleKind.self), default: .scores)
        let block =
            try section.integers("block", 1...1024, counts: [2], meaning: "two extents, [outputs, inputs]") ?? [4, 4]
        let rules = MaskRules(
            granularity: granularity, criterion: try criterion(in: section, granularity, schedule),
            scope: try section.choice("scope", .named(PruningScopeKind.self), default: .standard(for: granularity)),
            rule: rule,
            threshold: try section.number("threshold", .above(0, upTo: 1), default: 0.5), blockRows: block[0],
            blockColumns: block[1], multiple: try section.integer("multiple", 1...4096, default: 16),
            normalized: try section.boolean("normalized", default: false),
            keepsBorders: try section.choice("borders", Self.borders, default: false),
            excluded: try section.names("exclude"))
        try check(rules, schedule, section)
        return rules
    }

    private static var borders: Choices<Bool> { Choices(known: [("absorb", false), ("keep", true)]) }

    /// Magnitude is what most people call it.
    private static var criteria: [(word: String, value: PruningCriterionKind)] {
        PruningCriterionKind.allCases.map { ("\($0)", $0) } + [("magnitude", .l2)]
    }

    private func criterion(
        in section: PlanSection, _ granularity: PruningGranularity, _ schedule: SparsityScheduleKind
    ) throws(PlanError) -> PruningCriterionKind {
        let standard = PruningCriterionKind.standard(for: granularity, schedule)
        let criterion = try section.choice("criterion", Choices(known: Self.criteria), default: standard)
        guard criterion.fits(granularity) else {
            throw section.error(
                "criterion",
                "criterion '\(criterion)' says nothing of granularity '\(granularity.word)'; available: "
                    + words { $0.fits(granularity) })
        }
        guard schedule != .dynamic || criterion.fitsRegrowth else {
            throw section.error(
                "criterion",
                "schedule 'dynamic' drops by \(words(where: \.fitsRegrowth)), not by \(criterion): a dead weight has no "
                    + "w·g to come back with")
        }
        return criterion
    }

    private func words(where matches: (PruningCriterionKind) -> Bool) -> String {
        PruningCriterionKind.allCases.filter(matches).map { "\($0)" }.joined(separator: ", ")
    }

    private func check(
        _ rules: MaskRules, _ schedule: SparsityScheduleKind, _ section: PlanSection
    ) throws(PlanError) {
        func needs(_ key: String, _ wanted: String, _ holds: Bool) throws(PlanError) {
            guard holds || !section.has(key) else {
                throw section.error(key, "'\(key)' in stage 'prune' needs \(wanted)")
            }
        }
        try needs("block", "granularity: block", rules.granularity == .block)
        try needs("multiple", "granularity: channel", rules.granularity == .channel)
        try needs(
            "normalized", "granularity: channel or head",
            rules.granularity == .channel || rules.granularity == .head)
        try needs(
            "borders", "granularity: channel or head", rules.granularity == .channel || rules.granularity == .head)
        try needs("threshold", "rule: threshold", rules.rule == .threshold)
        try needs(
            "scope", "another granularity than '2:4' and 'layer'",
            rules.granularity != .twoOfFour && rules.granularity != .layer)
        guard rules.rule != .scores else { return }
        guard schedule != .dynamic else {
            throw section.error(
                "rule", "schedule 'dynamic' revives weights by the fleet's mean gradient: it needs rule: scores")
        }
        guard rules.criterion.readsData else {
            throw section.error(
                "rule",
                "rule '\(rules.rule)' asks workers for their own masks, but by criterion '\(rules.criterion)' all would say "
                    + "the same; available: \(words(where: \.readsData))")
        }
        guard [.weight, .channel, .head].contains(rules.granularity) else {
            throw section.error(
                "rule",
                "rule '\(rules.rule)' needs granularity: weight, channel or head; '\(rules.granularity.word)' is decided "
                    + "by scores")
        }
    }

    // MARK: How much

    private func target(in section: PlanSection, _ rules: MaskRules) throws(PlanError) -> PruneTarget {
        let place = "budget of \(section.place)"
        let budget = try section.section("budget", place: place, keys: PlanKeys.pruneBudget)
        if rules.granularity == .twoOfFour {
            for key in ["sparsity", "budget"] where section.has(key) {
                throw section.error(key, "granularity '2:4' masks one half: remove '\(key)'")
            }
            return .sparsity(0.5)
        }
        guard let budget else {
            return .sparsity(
                try section.number(
                    "sparsity", .above(0, below: 1), default: rules.granularity.isStructural ? 0.5 : 0.8))
        }
        guard !section.has("sparsity") else {
            throw section.error("budget", "'sparsity' and 'budget' in \(section.place) exclude each other; keep one")
        }
        let written = PlanKeys.pruneBudget.filter(budget.has)
        guard written.count == 1, let key = written.first else {
            throw section.error(
                "budget", "\(place) needs exactly one of \(PlanKeys.pruneBudget.joined(separator: ", "))")
        }
        guard rules.granularity.isStructural || key == "weights" else {
            throw budget.error(
                key,
                "a budget of \(key) needs granularity: channel, head or layer: masked weights stay in the file and are "
                    + "computed with; give 'weights' or 'sparsity'")
        }
        switch key {
        case "weights": return .weights(try share("weights", in: budget))
        case "macs": return .macs(try share("macs", in: budget))
        case "bytes": return .bytes(try budget.size("bytes", 1024...(4 << 30), default: 1024))
        default:
            return .milliseconds(try budget.number("milliseconds", .above(0, upTo: 1_000_000), default: 1))
        }
    }

    private func share(_ key: String, in budget: PlanSection) throws(PlanError) -> Double {
        try budget.number(key, .above(0, below: 1), default: 0.5)
    }

    private func rewindStage(
        in section: PlanSection, _ schedule: SparsityScheduleKind, number: Int
    ) throws(PlanError) -> Int? {
        guard let rewind = try section.integer("rewind", 0...1000) else { return nil }
        guard schedule == .lottery else {
            throw section.error("rewind", "'rewind' in stage 'prune' needs schedule: lottery")
        }
        guard rewind < number else {
            throw section.error(
                "rewind",
                "'rewind' in stage 'prune' names stage \(rewind), which is not over then; give 0 (the model as the run begins) "
                    + "to \(number - 1)")
        }
        return rewind == 0 ? nil : rewind - 1
    }
}

extension PruningCriterionKind {
    /// Whether `dynamic` may drop by it: known for dead weights too.
    var fitsRegrowth: Bool { [.l1, .l2, .stability, .fisher].contains(self) }

    /// What a plan that names no criterion means: what did best (`Benchmarks/pruning/README.md`), and magnitude where the
    /// schedule was published with it or takes no Taylor scores.
    static func standard(
        for granularity: PruningGranularity, _ schedule: SparsityScheduleKind
    ) -> PruningCriterionKind {
        if granularity.isStructural { return .taylor }
        return granularity == .weight && schedule != .dynamic && schedule != .lottery ? .taylor : .l2
    }
}

extension PruningScopeKind {
    /// What a plan that names no scope means: what did best (`Benchmarks/pruning/README.md`).
    static func standard(for granularity: PruningGranularity) -> PruningScopeKind {
        granularity == .channel || granularity == .head ? .local : .global
    }
}
