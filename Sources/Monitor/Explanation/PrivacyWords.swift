import Federation

/// What of a worker's data can be seen in what it sends.
struct PrivacyWords {
    /// Kinds of what is sent, in the order in which they first come.
    private(set) var leaving: [String] = []
    /// What a careful reader should know.
    private(set) var cautions: [String] = []

    init(_ plan: Plan) {
        var own = false
        for stage in plan.stages {
            switch stage {
            case .train: add("compressed changes of the weights")
            case .distill(let distill):
                add("compressed changes of the weights")
                if distill.ensemble != nil { add("what each model says of the public set (logits)") }
            case .prune(let prune):
                if (1...prune.steps).contains(where: prune.asksForScores) {
                    let isVote = prune.rules.rule != .scores
                    add(isVote ? "a mask of its own as a vote" : "importance scores of weights or channels")
                }
                if prune.roundsPerStep > 0 { add("compressed changes of the weights") }
            case .factorize(let factorize):
                if factorize.samples > 0 { addMoments() }
                if factorize.rounds > 0 { add("compressed changes of the weights") }
            case .quantize(let quantize):
                if quantize.rules.scope.target.needsCalibration { add("histograms of values inside the model") }
                if quantize.needsMoments { addMoments() }
                if !quantize.bitsOfBudget.isEmpty || quantize.maximumDrop != nil {
                    add("one number a layer and number of bits")
                }
                if quantize.isSimulated { add("compressed changes of the weights") }
                if quantize.comparedSamples > 0 { add("sums that compare the file's layers with the model's") }
            case .evaluate: break
            }
            if stage.teacher?.members.contains(where: { $0.source == .own }) == true { own = true }
        }
        add("sums of loss and of right answers, numbers of samples and classes, times")
        if own { cautions.append("Workers' own teachers stay where they are.") }
        cautions.append(
            "There is no secure aggregation and no added noise: the coordinator sees each worker's contribution by itself, and who runs it "
                + "must be trusted with that.")
    }

    private mutating func add(_ what: String) { if !leaving.contains(what) { leaving.append(what) } }

    private mutating func addMoments() {
        guard !leaving.contains("second moments of what layers read") else { return }
        add("second moments of what layers read")
        cautions.append(
            "Second moments say which inputs of a layer go together, on average over a shard; of the first layer of a perceptron a "
                + "small shard's mean image can be guessed from them. 'samples: 0', 'correctBiases: false' or 'exclude' do without."
        )
    }
}
