import CTorch
import Tensors

/// The terms of a loss that compare values inside the student with a teacher's: checked first, as `LossTensors`.
struct FeatureTensors {
    let matching: FeatureMatching
    /// By `FeaturePair.projectorName`.
    let projectors: [String: TorchTensor]

    /// Adds every signal's term, times its weight, to the loss.
    /// - Parameters:
    ///   - student: the values by name, through which gradients run back.
    ///   - teacher: float32, by the names of `FeatureMatching.teacherValues`.
    /// - Throws: `EngineError.badBatch` for a value that is missing or does not fit.
    func adding(
        to loss: TorchTensor, student: [String: TorchTensor], teacher: NamedTensors
    ) throws(EngineError) -> TorchTensor {
        var total = loss
        var known: [String: TorchTensor] = [:]
        for signal in matching.signals {
            let pair = signal.pair
            guard let mine = student[pair.student] else { throw .unknownOutput(pair.student) }
            guard let given = teacher[pair.teacher] else {
                throw .badBatch("the teacher's value '\(pair.teacher)' was not given for this batch")
            }
            try check(signal, mine, given)
            if known[pair.teacher] == nil { known[pair.teacher] = try TorchTensor(given) }
            guard let theirs = known[pair.teacher] else { continue }
            let term = try term(signal, mine, theirs)
            total = try TorchTensor(ct_weighted_sum(total.handle, 1, term.handle, signal.weight))
        }
        return total
    }

    private func check(_ signal: FeatureSignal, _ student: TorchTensor, _ teacher: Tensor) throws(EngineError) {
        let (mine, theirs) = (student.extents, teacher.shape.dimensions)
        let text = "\(signal.pair.text), \(student.elementType) \(mine) and \(teacher.elementType) \(theirs)"
        guard student.elementType == .float32, teacher.elementType == .float32 else {
            throw .badBatch("\(text), must both be float32")
        }
        if let reason = signal.measure.misfit(student: mine, teacher: theirs) {
            throw .badBatch("\(text), cannot be compared: \(reason)")
        }
        guard mine[0] == theirs[0], !mine.contains(0), !theirs.contains(0) else {
            throw .badBatch("\(text), are not of the same samples")
        }
        guard let axis = signal.measure.channelAxis(rank: mine.count) else {
            if signal.measure != .attentionMaps, mine != theirs { throw .badBatch("\(text), are not of one shape") }
            return
        }
        let fitting = projectors[signal.pair.projectorName]?.extents ?? [mine[axis], mine[axis]]
        guard fitting == [theirs[axis], mine[axis]] else {
            throw .badBatch("\(text), do not fit the projector \(fitting)")
        }
    }

    private func term(
        _ signal: FeatureSignal, _ student: TorchTensor, _ teacher: TorchTensor
    ) throws(EngineError) -> TorchTensor {
        switch signal.measure {
        case .hiddenStates:
            let projector = projectors[signal.pair.projectorName]
            return try TorchTensor(ct_hidden_state_loss(student.handle, teacher.handle, projector?.handle))
        case .attentionMaps: return try TorchTensor(ct_attention_map_loss(student.handle, teacher.handle))
        case .attentionMatrices: return try TorchTensor(ct_squared_error(student.handle, teacher.handle))
        case .attentionDivergence: return try TorchTensor(ct_attention_divergence(student.handle, teacher.handle))
        }
    }
}
