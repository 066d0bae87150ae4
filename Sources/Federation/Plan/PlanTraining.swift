// What the stages with training rounds have in common: the workers' recipe and the server's optimizer.

extension PlanReader {
    /// - Parameters:
    ///   - schedule: the key of the learning rate's schedule.
    ///   - hasLoss: whether the stage lets its plan choose what is minimised.
    func training(
        in section: PlanSection, schedule: String = "schedule", hasLoss: Bool = true
    ) throws(PlanError) -> (TrainingRecipe, ServerOptimizer) {
        var recipe = TrainingRecipe(
            epochs: try section.number("epochs", .above(0, upTo: 1000), default: 1),
            batch: try section.integer("batch", 1...65536, default: 64),
            accumulate: try section.integer("accumulate", 1...1024, default: 1),
            optimizer: try section.choice("optimizer", .named(OptimizerKind.self), default: .sgd),
            learningRate: try section.number("learningRate", .above(0, upTo: 100), default: 0.05),
            schedule: try rateSchedule(schedule, in: section),
            momentum: try section.number("momentum", .from(0, below: 1), default: 0.9),
            nesterov: try section.boolean("nesterov", default: false),
            weightDecay: try section.number("weightDecay", .from(0, upTo: 1), default: 0),
            decay: try section.choice("decay", .named(DecayScope.self), default: .all),
            clipNorm: try section.number("clipNorm", .above(0, upTo: 1_000_000_000)),
            clipValue: try section.number("clipValue", .above(0, upTo: 1_000_000_000)),
            precision: try section.choice("precision", .named(PrecisionKind.self), default: .float32),
            proximal: try section.number("proximal", .from(0, upTo: 1000), default: 0),
            correction: try section.choice("correction", .named(CorrectionKind.self), default: .none))
        if hasLoss {
            recipe.loss = try section.choice("loss", .named(LossKind.self))
            recipe.labelSmoothing = try section.number("labelSmoothing", .from(0, below: 1), default: 0)
            if let loss = recipe.loss, !loss.smoothsLabels, recipe.labelSmoothing > 0 {
                throw section.error(
                    "labelSmoothing",
                    "'labelSmoothing' in \(section.place) needs loss: crossEntropy; loss: \(loss) does not smooth")
            }
        }
        let server = try server(in: section)
        try check(recipe, server, section)
        return (recipe, server)
    }

    private func check(
        _ recipe: TrainingRecipe, _ server: ServerOptimizer, _ section: PlanSection
    ) throws(PlanError) {
        guard !recipe.nesterov || (recipe.optimizer == .sgd && recipe.momentum > 0) else {
            throw section.error(
                "nesterov", "'nesterov' in \(section.place) needs optimizer: sgd and a momentum above 0")
        }
        guard recipe.clipNorm == nil || recipe.clipValue == nil else {
            throw section.error(
                "clipValue", "'clipNorm' and 'clipValue' in \(section.place) exclude each other; keep one")
        }
        guard recipe.correction == .scaffold else { return }
        guard recipe.optimizer == .sgd else {
            throw section.error(
                "correction",
                "correction 'scaffold' in \(section.place) needs optimizer: sgd: what \(recipe.optimizer) moves is no "
                    + "sum of gradients")
        }
        guard recipe.proximal == 0 else {
            throw section.error(
                "correction", "correction 'scaffold' and 'proximal' in \(section.place) exclude each other; keep one")
        }
        guard server.isPlain else {
            throw section.error(
                "correction",
                "correction 'scaffold' in \(section.place) needs server: {optimizer: average, learningRate: 1}: it reads "
                    + "the fleet's mean off the snapshots")
        }
    }

    private func rateSchedule(_ key: String, in section: PlanSection) throws(PlanError) -> RateSchedule {
        let kind = try section.choice(key, .named(RateSchedule.Kind.self), default: .constant)
        for other in ["stepEvery", "stepFactor"] where kind != .step && section.has(other) {
            throw section.error(other, "'\(other)' in \(section.place) needs \(key): step")
        }
        return RateSchedule(
            kind, warmup: try section.number("warmup", .from(0, below: 1), default: 0),
            stepEvery: try section.number("stepEvery", .from(0.001, upTo: 1), default: 0.3),
            stepFactor: try section.number("stepFactor", .above(0, upTo: 1), default: 0.1))
    }

    private func server(in stage: PlanSection) throws(PlanError) -> ServerOptimizer {
        let place = "server of \(stage.place)"
        guard let section = try stage.section("server", place: place, keys: PlanKeys.server) else {
            return ServerOptimizer()
        }
        let kind = try section.choice("optimizer", Choices(ServerOptimizer.Kind.self), default: .average)
        if kind == .average, section.has("momentum") {
            throw section.error("momentum", "'momentum' in \(place) needs optimizer: momentum, adam or yogi")
        }
        for key in ["beta2", "epsilon"] where !kind.isAdaptive && section.has(key) {
            throw section.error(key, "'\(key)' in \(place) needs optimizer: adam or yogi")
        }
        return ServerOptimizer(
            kind: kind,
            learningRate: try section.number("learningRate", .above(0, upTo: 100), default: kind.isAdaptive ? 0.01 : 1),
            momentum: try section.number("momentum", .from(0, below: 1), default: 0.9),
            beta2: try section.number("beta2", .from(0, below: 1), default: 0.99),
            epsilon: try section.number("epsilon", .from(1e-9, upTo: 1), default: 0.001))
    }

    /// What only the whole plan shows.
    func check(_ stages: [StagePlan], _ fleet: FleetRules, in top: PlanSection) throws(PlanError) {
        try checkFeatures(of: stages, fleet, in: top)
        try checkQuantizing(stages, fleet, in: top)
        guard fleet.teachers.isEmpty || stages.contains(where: \.needsOwnTeacher) else {
            throw top.error("fleet", "'teachers' in fleet needs a stage with teacher: {own: true}")
        }
        guard stages.contains(where: \.hasCorrection) else { return }
        guard fleet.rounds == .synchronous else {
            throw top.error(
                "stages", "correction 'scaffold' needs rounds: synchronous in fleet: it compares workers of one round")
        }
        guard !fleet.hasWidths else {
            throw top.error(
                "stages",
                "correction 'scaffold' and widths below 1 in fleet exclude each other: it compares workers of one model"
            )
        }
    }
}

extension StagePlan {
    fileprivate var hasCorrection: Bool {
        switch self {
        case .train(let plan): plan.recipe.correction != .none
        case .distill(let plan): plan.recipe.correction != .none
        case .prune(let plan): plan.recipe.correction != .none
        case .factorize(let plan): plan.recipe.correction != .none
        case .quantize(let plan): plan.recipe.correction != .none
        case .evaluate: false
        }
    }
}
