import CTorch
import ModelGraph
import Tensors

/// Trains a graph: forward, backward, update. The loss compares the graph's first output with a batch's targets. Masked
/// weights are zero from the start and stay so. An initializer that several nodes read is one parameter, whose gradient is
/// the sum of theirs; initializers of integers are never changed. Not Sendable: owned by one thread.
///
/// With one seed (`EngineRuntime.seed`, on this thread) and one number of threads the parameters after the same batches are
/// the same bytes.
///
/// After any error the parameters and running statistics are as they were before the call, and the trainer can go on.
/// Batches accumulated before stay, but for a group whose mean gradient is not finite: that is dropped.
public final class Trainer {
    let graph: Graph
    let program: Program
    let procedure: Procedure
    let statisticSlots: [Int]
    var values: [TorchTensor?]
    /// The graph's trainable parameters, then the projectors of feature signals.
    var trained: [TrainedParameter] = []
    /// How many of `trained` are the graph's.
    private(set) var graphParameterCount = 0
    var features: FeatureTensors?
    let freezesStatistics: Bool
    var settings: OptimizerSettings
    let clipping: GradientClipping?
    let proximal: Double
    /// Falls back to float32 for good when libtorch cannot run a gradient in bfloat16.
    var precision: Precision
    private let parameterList: [Parameter]
    /// Targets of the batches accumulated so far.
    var accumulatedTargets = 0
    /// Steps and learning rates since the trainer was made.
    public internal(set) var progress = TrainingProgress()

    /// - Parameters:
    ///   - clipping: a bound on gradients.
    ///   - proximal: FedProx's μ (Li et al. 2020, eq. 2): adds μ/2 ‖w − w₀‖² over the trainable parameters, w₀ being the
    ///     graph's values, by its gradient μ (w − w₀), before clipping. It is not in the reported loss.
    ///   - corrections: SCAFFOLD's c − c_i by parameter (Karimireddy et al. 2020, algorithm 1, line 10), added to the
    ///     gradients before clipping; parameters left out have none.
    ///   - precision: of convolutions and matrix products.
    ///   - freezesStatistics: whether batch norms use their running statistics instead of the batch's, and keep them.
    ///   - features: terms on values inside the graph, added to every step's loss; steps are then to be given the
    ///     teacher's values, and projectors are trained as the graph's weights are.
    /// - Throws: `EngineError.unsupported` naming the operator and node, `.badMask` for a mask that does not fit,
    ///   `.badSetting` for numbers outside their range and corrections that do not fit.
    public init(
        _ graph: Graph, optimizer: OptimizerSettings, masks: MaskSet = MaskSet(), clipping: GradientClipping? = nil,
        proximal: Double = 0, corrections: NamedTensors = NamedTensors(), precision: Precision = .float32,
        freezesStatistics: Bool = false, features: FeatureMatching? = nil
    ) throws(EngineError) {
        ct_keep_freed_memory()
        try optimizer.validate()
        try clipping?.validate()
        guard proximal >= 0, proximal.isFinite else {
            throw .badSetting("the proximal term's mu is \(proximal): give 0 or more")
        }
        self.graph = graph
        settings = optimizer
        self.clipping = clipping
        self.proximal = proximal
        self.precision = precision
        self.freezesStatistics = freezesStatistics
        let compared = features?.studentValues ?? []
        let program = try Program(Self.exposing(compared, of: graph), fuses: precision == .float32)
        self.program = program
        procedure = try program.procedure(for: graph.outputs.prefix(1).map(\.name) + compared)
        // Codes have no gradient: training through them would silently leave weights as they are.
        if let codes = procedure.instructions.first(where: {
            Operators.withoutGradient.contains($0.node.operatorType)
        })?.node {
            throw Operators.refuse(codes, "training a quantized model; train the float model it was made from")
        }
        parameterList = graph.parameters
        statisticSlots = parameterList.filter { $0.role == .statistic }.compactMap { program.slots[$0.name] }
        values = Array(repeating: nil, count: program.slots.count)
        for (slot, name) in program.constants {
            guard var tensor = graph.initializers[name] else { continue }
            if let bitmap = masks[name] { tensor = try TrainedParameter.masked(tensor, bitmap, name) }
            values[slot] = try TorchTensor(tensor)
        }
        try makeLeaves(masks: masks, corrections: corrections)
        graphParameterCount = trained.count
        if let features { try makeProjectors(features) }
    }

    private func makeLeaves(masks: MaskSet, corrections: NamedTensors) throws(EngineError) {
        let decaying = settings.noDecayOnNormsAndBiases ? graph.decayingNames : nil
        let steps = graph.simulationSteps
        let trainable = parameterList.filter { $0.role == .trainable }
        let shapes = Dictionary(uniqueKeysWithValues: trainable.map { ($0.name, $0.shape) })
        for (name, tensor) in corrections.ordered {
            guard tensor.elementType == .float32, let shape = shapes[name], tensor.shape == shape else {
                throw .badSetting(
                    "the correction of '\(name)' is \(tensor.elementType) \(tensor.shape): no trainable parameter is like it"
                )
            }
        }
        for parameter in trainable {
            guard let slot = program.slots[parameter.name], let value = values[slot] else { continue }
            let mask = try masks[parameter.name].map { bitmap throws(EngineError) in
                try TrainedParameter.flags(bitmap, shape: parameter.shape)
            }
            let leaf = try TorchTensor(ct_leaf(value.handle))
            values[slot] = leaf
            var state = TrainedParameter(
                name: parameter.name, leaf: leaf, mask: mask,
                decays: !steps.contains(parameter.name) && decaying?.contains(parameter.name) ?? true,
                reference: proximal > 0 ? try TorchTensor(ct_clone(leaf.handle)) : nil,
                correction: try corrections[parameter.name].map { tensor throws(EngineError) in
                    try TorchTensor(tensor)
                })
            try state.prepare(for: settings)
            trained.append(state)
        }
    }

    /// The rate of the next step, for schedules.
    public var learningRate: Double {
        get { settings.learningRate }
        set { settings.learningRate = newValue }
    }

    /// The momentum of the next step, for schedules: SGD's, or beta1 of AdamW and LAMB.
    public var momentum: Double {
        get { settings.kind == .sgd ? settings.momentum : settings.beta1 }
        set { if settings.kind == .sgd { settings.momentum = newValue } else { settings.beta1 = newValue } }
    }

    /// Forward, backward, update: by this batch's mean gradient or, after `accumulate`, by the mean over all targets of the
    /// group that this batch ends.
    /// - Throws: `EngineError.notFinite` when the loss, or the norm that gradients are clipped by, is not finite.
    public func step(
        _ batch: Batch, loss: Loss = .crossEntropy, teacherLogits: Tensor? = nil,
        teacherFeatures: NamedTensors = NamedTensors()
    ) throws(EngineError) -> StepResult {
        try settings.validate()
        return try keepingStatistics { () throws(EngineError) in
            let teacher = TeacherOutputs(logits: teacherLogits, features: teacherFeatures)
            var result = try backward(batch, loss: loss, teacher: teacher, frame: trainingFrame).result
            let endsGroup = accumulatedTargets > 0
            if endsGroup { try addGradients(targets: result.targets) }
            result.gradientNorm = try update(accumulated: endsGroup)
            return result
        }
    }

    /// Forward and backward; the gradients wait for the `step` that ends the group. Running statistics are updated.
    public func accumulate(
        _ batch: Batch, loss: Loss = .crossEntropy, teacherLogits: Tensor? = nil,
        teacherFeatures: NamedTensors = NamedTensors()
    ) throws(EngineError) -> StepResult {
        try keepingStatistics { () throws(EngineError) in
            let teacher = TeacherOutputs(logits: teacherLogits, features: teacherFeatures)
            let result = try backward(batch, loss: loss, teacher: teacher, frame: trainingFrame).result
            try addGradients(targets: result.targets)
            return result
        }
    }

    /// Forward, backward, update of a single-input model.
    /// - Parameters:
    ///   - input: `[n]` + sample shape.
    ///   - labels: the batch's targets.
    ///   - teacherLogits: float32, of the output's shape, for distillation.
    ///   - teacherFeatures: for feature signals, the teacher's values by name.
    public func step(
        _ input: Tensor, labels: Tensor, loss: Loss = .crossEntropy, teacherLogits: Tensor? = nil,
        teacherFeatures: NamedTensors = NamedTensors()
    ) throws(EngineError) -> StepResult {
        try step(
            Batch(input, targets: labels), loss: loss, teacherLogits: teacherLogits, teacherFeatures: teacherFeatures)
    }

    /// Forward and backward only; parameters and running statistics stay as they are.
    /// - Returns: the model's first output and the gradient of every trainable parameter, projectors included; zeros where
    ///   none reached it.
    public func gradients(
        _ batch: Batch, loss: Loss = .crossEntropy, teacherLogits: Tensor? = nil,
        teacherFeatures: NamedTensors = NamedTensors(), training: Bool = true
    ) throws(EngineError) -> (result: StepResult, logits: Tensor, gradients: NamedTensors) {
        let frame = Frame(training: training, updatesStatistics: false, usesBfloat16: precision == .bfloat16)
        let teacher = TeacherOutputs(logits: teacherLogits, features: teacherFeatures)
        let (result, logits) = try backward(batch, loss: loss, teacher: teacher, frame: frame)
        var gradients = NamedTensors()
        for state in trained {
            gradients[state.name] = try TorchTensor(ct_gradient(state.leaf.handle)).tensor()
        }
        return (result, try logits.tensor(), gradients)
    }

    /// The gradients of a single-input model.
    public func gradients(
        _ input: Tensor, labels: Tensor, loss: Loss = .crossEntropy, teacherLogits: Tensor? = nil,
        teacherFeatures: NamedTensors = NamedTensors(), training: Bool = true
    ) throws(EngineError) -> (result: StepResult, logits: Tensor, gradients: NamedTensors) {
        try gradients(
            Batch(input, targets: labels), loss: loss, teacherLogits: teacherLogits, teacherFeatures: teacherFeatures,
            training: training)
    }

    /// Every parameter of the graph in its order, running statistics included.
    public func parameters() throws(EngineError) -> NamedTensors {
        var tensors = NamedTensors()
        for parameter in parameterList {
            guard let slot = program.slots[parameter.name], let value = values[slot] else { continue }
            tensors[parameter.name] = try value.tensor()
        }
        return tensors
    }

    private var trainingFrame: Frame {
        Frame(
            training: true, updatesStatistics: true, usesBfloat16: precision == .bfloat16,
            freezesStatistics: freezesStatistics)
    }
}
