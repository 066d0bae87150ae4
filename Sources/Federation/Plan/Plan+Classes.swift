// Which stages can only work on data with class labels.

extension Plan {
    /// Why data without class labels are of no use, naming the first stage that needs them and what helps; nil where none
    /// does. A stage that leaves `loss` out takes what the data have.
    var needOfClasses: String? {
        if let index = stages.firstIndex(where: { $0.ensemble != nil }) {
            return
                "stage \(index + 1) (distill) has an ensemble, which learns classes, and the worker's data have no class labels: "
                + "give the worker labelled --data"
        }
        for (index, stage) in stages.enumerated() where stage.loss == .crossEntropy {
            let place = "stage \(index + 1) (\(stage.kind))"
            if case .prune(let prune) = stage, prune.rules.criterion.readsData {
                return
                    "\(place): criterion '\(prune.rules.criterion)' needs gradients of loss: crossEntropy, and the worker's data "
                    + "have no class labels: take criterion: l2, remove 'loss', or give the worker labelled --data"
            }
            return
                "\(place) has loss: crossEntropy and the worker's data have no class labels: remove 'loss' or give the worker "
                + "labelled --data"
        }
        return nil
    }
}

extension StagePlan {
    /// What is minimized, where the plan says it.
    fileprivate var loss: LossKind? {
        switch self {
        case .train(let plan): plan.recipe.loss
        case .prune(let plan): plan.recipe.loss
        case .factorize(let plan): plan.recipe.loss
        case .distill, .quantize, .evaluate: nil
        }
    }
}
