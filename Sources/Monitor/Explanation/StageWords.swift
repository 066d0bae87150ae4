import Federation

/// One stage in a few sentences.
struct StageWords {
    let paragraphs: [String]

    /// - Parameter number: from 1.
    init(_ plan: Plan, number: Int) {
        let measures = "A round of evaluation on the workers' test shards ends the stage."
        switch plan.stages[number - 1] {
        case .train(let stage):
            paragraphs =
                [
                    "\(Figures.counted(stage.rounds, "round")) of federated averaging: each worker trains on its shard, and "
                        + ServerWords(stage.server).text + "."
                ] + TrainingWords(stage.recipe, of: plan.stages[number - 1]).sentences
                + TeacherWords.sentences(stage.teacher)
                + [measures]
        case .distill(let stage): paragraphs = Self.distill(stage, of: plan.stages[number - 1]) + [measures]
        case .prune(let stage): paragraphs = PruneWords(stage).paragraphs + [measures]
        case .factorize(let stage): paragraphs = FactorizationWords(stage).paragraphs + [measures]
        case .quantize(let stage): paragraphs = QuantizationWords(stage).paragraphs
        case .evaluate(let stage):
            paragraphs = [
                "Each worker measures loss and accuracy of the model on "
                    + (stage.samples.map { "at most \(Figures.counted($0, "sample")) of " } ?? "")
                    + "its test shard. Nothing changes."
            ]
        }
    }

    private static func distill(_ stage: DistillPlan, of kind: StagePlan) -> [String] {
        var words: [String] = []
        let rounds = Figures.counted(stage.rounds, "round")
        if let ensemble = stage.ensemble {
            words.append(
                "\(rounds) of two parts each: workers train, then each says its model's logits on the public set. From the second "
                    + "round on they learn from the mean of these "
                    + (ensemble.isMutual ? "without their own part " : "")
                    + "(temperature \(Figures.number(ensemble.temperature)), alpha \(Figures.number(ensemble.alpha)), "
                    + "\(Figures.number(ensemble.epochs)) passes over the public set a round).")
            words.append("Weights of the run's model are folded: \(ServerWords(stage.server).text).")
        } else {
            words.append(
                "\(rounds) in which workers train on their shards and learn from a teacher; \(ServerWords(stage.server).text)."
            )
        }
        return words + TrainingWords(stage.recipe, of: kind).sentences + TeacherWords.sentences(stage.teacher)
    }
}
