import CTorch
import ModelGraph
import Tensors

/// What a teacher makes of a batch.
struct TeacherOutputs {
    /// Of the student's output's shape.
    var logits: Tensor?
    /// Values inside it by name.
    var features: NamedTensors
}

extension Trainer {
    /// Runs a step's work; where it fails, running statistics become again what they were, since the forward pass has
    /// mixed the refused batch into them.
    func keepingStatistics<Result>(
        _ body: () throws(EngineError) -> Result
    ) throws(EngineError) -> Result {
        let before = try statistics()
        do { return try body() } catch {
            restore(before)
            throw error
        }
    }

    /// Gradients of the loss of a batch in the leaves.
    func backward(
        _ batch: Batch, loss: Loss, teacher: TeacherOutputs, frame: Frame
    ) throws(EngineError) -> (result: StepResult, logits: TorchTensor) {
        try loss.validate()
        let before = ct_set_gradients(true)
        defer { _ = ct_set_gradients(before) }
        try CTorchStatus.check(ct_enter_thread())
        guard frame.usesBfloat16 else {
            return try runBackward(batch, loss: loss, teacher: teacher, frame: frame)
        }
        let statistics = try statistics()
        do {
            return try runBackward(batch, loss: loss, teacher: teacher, frame: frame)
        } catch .runtime {
            // A kernel that libtorch lacks in bfloat16 shows only now, in its gradient.
            restore(statistics)
            var frame = frame
            frame.usesBfloat16 = false
            let result = try runBackward(batch, loss: loss, teacher: teacher, frame: frame)
            precision = .float32
            return result
        }
    }

    private func runBackward(
        _ batch: Batch, loss: Loss, teacher: TeacherOutputs, frame: Frame
    ) throws(EngineError) -> (result: StepResult, logits: TorchTensor) {
        for state in trained { try CTorchStatus.check(ct_clear_gradient(state.leaf.handle)) }
        guard let output = graph.outputs.first?.name, let slot = program.slots[output] else {
            throw .unknownOutput("(the graph declares no output)")
        }
        var working = values
        try program.place(batch.inputs, into: &working)
        try procedure.run(&working, frame: frame, extents: program.extents(working))
        guard let logits = working[slot] else { throw .unknownOutput(output) }
        let features = try featureValues(working)
        // What the graph has computed stays alive through the loss; the working copies need not.
        working = []
        let tensors = try LossTensors(loss, output: logits, targets: batch.targets)
        var total = try tensors.scalar(teacherLogits: teacher.logits)
        if let terms = self.features {
            total = try terms.adding(to: total, student: features, teacher: teacher.features)
        }
        let value = try LossTensors.item(total)
        guard value.isFinite else { throw .notFinite("the training loss") }
        try CTorchStatus.check(ct_backward(total.handle))
        let result = StepResult(
            loss: value, correct: try tensors.correct(), samples: batch.sampleCount, targets: tensors.counted)
        return (result, logits)
    }

    private func statistics() throws(EngineError) -> [(slot: Int, value: TorchTensor?)] {
        try statisticSlots.map { slot throws(EngineError) in
            (slot, try values[slot].map { value throws(EngineError) in try TorchTensor(ct_clone(value.handle)) })
        }
    }

    private func restore(_ statistics: [(slot: Int, value: TorchTensor?)]) {
        for (slot, value) in statistics { values[slot] = value }
    }
}
