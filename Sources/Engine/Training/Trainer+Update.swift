import CTorch
import Tensors

extension Trainer {
    /// Adds the leaves' gradients, which are means over a batch's targets, to the group's sums.
    func addGradients(targets: Int) throws(EngineError) {
        for index in trained.indices {
            let leaf = trained[index].leaf
            if trained[index].sum == nil { trained[index].sum = try TorchTensor(ct_zeros_like(leaf.handle)) }
            try CTorchStatus.check(ct_add_gradient(trained[index].sum?.handle, leaf.handle, Double(targets)))
        }
        accumulatedTargets += targets
    }

    /// Changes the parameters by the leaves' gradients, or by the group's mean, which it ends.
    /// - Returns: the norm before clipping, where gradients are clipped by it.
    func update(accumulated: Bool) throws(EngineError) -> Double? {
        var scale = 1.0
        if accumulated {
            scale = 1 / Double(max(1, accumulatedTargets))
            for state in trained {
                guard let sum = state.sum else { continue }
                try CTorchStatus.check(ct_set_gradient(state.leaf.handle, sum.handle))
            }
            dropGroup()
        }
        try prepare(scale: scale)
        var norm: Double?
        var factor = 1.0
        if case .norm(let limit) = clipping {
            let measured = try gradientNorm()
            guard measured.isFinite else { throw .notFinite("the gradient") }
            factor = min(1, limit / (measured + 1e-6))
            norm = measured
        }
        for index in trained.indices { try trained[index].prepare(for: settings) }
        progress.steps += 1
        progress.rateSum += settings.learningRate
        for state in trained { try apply(state, factor: factor) }
        return norm
    }

    private func dropGroup() {
        accumulatedTargets = 0
        for index in trained.indices { trained[index].sum = nil }
    }

    /// Brings gradients to the form that the optimizer uses; where nothing is to be done, without touching them.
    private func prepare(scale: Double) throws(EngineError) {
        var limit = 0.0
        if case .value(let value) = clipping { limit = value }
        for state in trained {
            let measuresMask = clipping != nil && state.mask != nil
            guard scale != 1 || limit > 0 || state.reference != nil || state.correction != nil || measuresMask else {
                continue
            }
            var terms = CTGradientTerms(
                scale: scale, proximal: proximal, reference: state.reference?.handle,
                correction: state.correction?.handle, mask: state.mask?.handle, limit: limit)
            try CTorchStatus.check(ct_prepare_gradient(state.leaf.handle, &terms))
        }
    }

    private func gradientNorm() throws(EngineError) -> Double {
        var squares = 0.0
        for state in trained { try CTorchStatus.check(ct_add_gradient_squares(state.leaf.handle, &squares)) }
        return squares.squareRoot()
    }

    private func apply(_ state: TrainedParameter, factor: Double) throws(EngineError) {
        var update = CTUpdate(
            rate: settings.learningRate, weight_decay: state.decays ? settings.weightDecay : 0, scale: factor,
            mask: state.mask?.handle, beta1: settings.beta1, beta2: settings.beta2, epsilon: settings.epsilon,
            step: Int64(progress.steps))
        let (first, second) = (state.first?.handle, state.second?.handle)
        let status =
            switch settings.kind {
            case .sgd: ct_sgd_step(state.leaf.handle, first, settings.momentum, settings.nesterov, &update)
            case .adamw: ct_adamw_step(state.leaf.handle, first, second, &update)
            case .lamb: ct_lamb_step(state.leaf.handle, first, second, &update)
            }
        try CTorchStatus.check(status)
    }
}
