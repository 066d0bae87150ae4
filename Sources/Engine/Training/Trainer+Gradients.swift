import CTorch
import ModelGraph
import Tensors

extension Trainer {
    /// Forward and backward only, as `gradients`, but without the output and with one gradient in memory at a time:
    /// parameters and running statistics stay as they are.
    /// - Parameters:
    ///   - training: whether layers behave as in training; false: BatchNormalization uses its running statistics.
    ///   - body: gets each trainable parameter's name and gradient (zeros where none reached it) and the batch's result.
    ///     Masked weights have gradients too; projectors of feature signals are not visited.
    public func visitGradients(
        _ batch: Batch, loss: Loss = .crossEntropy, teacherLogits: Tensor? = nil,
        teacherFeatures: NamedTensors = NamedTensors(), training: Bool = true,
        _ body: (_ name: String, _ gradient: Tensor, _ result: StepResult) -> Void
    ) throws(EngineError) {
        let frame = Frame(training: training, updatesStatistics: false, usesBfloat16: precision == .bfloat16)
        let teacher = TeacherOutputs(logits: teacherLogits, features: teacherFeatures)
        let result = try backward(batch, loss: loss, teacher: teacher, frame: frame).result
        for state in trained.prefix(graphParameterCount) { body(state.name, try gradient(of: state), result) }
    }

    /// A `step` that also hands out the gradients that the optimizer used, before the norm's clipping and the mask, as
    /// `visitGradients` does. The parameters have taken the step then.
    public func step(
        _ batch: Batch, loss: Loss, teacherLogits: Tensor? = nil, teacherFeatures: NamedTensors = NamedTensors(),
        visitingGradients body: (_ name: String, _ gradient: Tensor, _ result: StepResult) -> Void
    ) throws(EngineError) {
        let result = try step(batch, loss: loss, teacherLogits: teacherLogits, teacherFeatures: teacherFeatures)
        for state in trained.prefix(graphParameterCount) { body(state.name, try gradient(of: state), result) }
    }

    private func gradient(of state: TrainedParameter) throws(EngineError) -> Tensor {
        try TorchTensor(ct_gradient(state.leaf.handle)).tensor()
    }
}
