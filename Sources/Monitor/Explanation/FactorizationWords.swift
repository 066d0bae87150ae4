import Federation

/// A `factorize` stage in words.
struct FactorizationWords {
    let paragraphs: [String]

    init(_ stage: FactorizePlan) {
        let rules = stage.rules
        let choice =
            switch rules.selection.method {
            case .auto: "larger kernels the way that leaves least"
            case .svd: "larger kernels stay"
            case .spatial: "larger kernels k x 1 and 1 x k"
            case .tucker: "larger kernels 1 x 1, k x k and 1 x 1"
            }
        var words = [
            "Layers become products of two or three smaller ones (\(choice)) so that \(Self.amount(rules)). Ranks are multiples of "
                + "\(rules.multiple) where such a rank saves; a layer that would not save stays as it is."
        ]
        words.append(
            stage.samples > 0
                ? "Each worker first shows the model \(Figures.counted(stage.samples, "sample")) and sends second moments, so that "
                    + "what is cut is what costs the layers' outputs least over the whole fleet."
                : "The weights alone decide; no round is needed for it.")
        words.append("The model is another one then: workers fetch it whole, and what they kept of it begins anew.")
        if !rules.selection.only.isEmpty {
            words.append("Only these may change: \(rules.selection.only.joined(separator: ", ")).")
        }
        if !rules.selection.excluded.isEmpty {
            words.append("These stay as they are: \(rules.selection.excluded.joined(separator: ", ")).")
        }
        guard stage.rounds > 0 else {
            paragraphs = words + ["No training follows."]
            return
        }
        words.append(
            "\(Figures.counted(stage.rounds, "round")) of training follow; \(ServerWords(stage.server).text).")
        paragraphs =
            words + TrainingWords(stage.recipe, of: .factorize(stage)).sentences + TeacherWords.sentences(stage.teacher)
    }

    private static func amount(_ rules: FactorizeRules) -> String {
        let whole = rules.scope == .model ? "the model's" : "these layers'"
        switch rules.amount {
        case .energy(let share): return "each keeps \(Figures.percent(share)) of its energy"
        case .evbmf: return "each keeps what stands out of noise"
        case .parameters(let share):
            return "\(Figures.percent(share)) of \(whole) parameters are left, where little energy is lost"
        case .macs(let share):
            return "\(Figures.percent(share)) of \(whole) multiply-accumulates are left, where little energy is lost"
        }
    }
}
