import CTorch
import ModelGraph
import Tensors

public enum OptimizerMethod: Sendable, Equatable {
    case sgd
    /// Loshchilov & Hutter 2019, as PyTorch implements it.
    case adamw
}

public struct OptimizerSettings: Sendable, Equatable {
    public var kind: OptimizerMethod
    public var learningRate: Double
    public var momentum: Double
    public var weightDecay: Double
    public var nesterov: Bool
    public var beta1: Double
    public var beta2: Double
    public var epsilon: Double

    public init(
        kind: OptimizerMethod = .sgd, learningRate: Double, momentum: Double = 0, weightDecay: Double = 0,
        nesterov: Bool = false, beta1: Double = 0.9, beta2: Double = 0.999, epsilon: Double = 1e-8
    ) {
        self.kind = kind
        self.learningRate = learningRate
        self.momentum = momentum
        self.weightDecay = weightDecay
        self.nesterov = nesterov
        self.beta1 = beta1
        self.beta2 = beta2
        self.epsilon = epsilon
    }
}

/// What a step minimises, as a mean over the batch.
public enum Loss: Sendable, Equatable {
    case crossEntropy
    /// α·T²·KL(softmax(teacher/T) ‖ softmax(student/T)) + (1−α)·cross-entropy (Hinton et al. 2015).
    case distillation(temperature: Double, alpha: Double)
}

/// One step's figures, before the update.
public struct StepResult: Sendable, Equatable {
    /// Mean over the batch.
    public var loss: Double
    public var correct: Int
    public var samples: Int
}

/// Trains a single-input classifier. Masked weights are zero from the start and stay so. Not Sendable: owned by one
/// thread.
public final class Trainer {
    private let graph: Graph
    private let program: Program
    private let procedure: Procedure
    private let parameterList: [Parameter]
    private let statisticSlots: [Int]
    private var values: [TorchTensor?]
    private var states: [OptimizerState] = []
    private var settings: OptimizerSettings
    private var steps: Int64 = 0

    /// One trainable parameter's part of the optimizer.
    private struct OptimizerState {
        let name: String
        let leaf: TorchTensor
        /// Momentum (SGD) or first moment (AdamW).
        let first: TorchTensor
        /// Second moment (AdamW).
        let second: TorchTensor?
        let mask: TorchTensor?
    }

    /// - Throws: `EngineError.unsupported` naming the operator and node, `.badMask` for a mask that does not fit.
    public init(_ graph: Graph, optimizer: OptimizerSettings, masks: MaskSet = MaskSet()) throws(EngineError) {
        ct_keep_freed_memory()
        self.graph = graph
        settings = optimizer
        let program = try Program(graph)
        self.program = program
        procedure = try program.procedure(for: graph.outputs.prefix(1).map(\.name))
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
            if let bitmap = masks[name] { tensor = try Self.masked(tensor, bitmap, name) }
            values[slot] = try TorchTensor(tensor)
        }
        for parameter in parameterList where parameter.role == .trainable {
            guard let slot = program.slots[parameter.name], let value = values[slot] else { continue }
            let mask = try masks[parameter.name].map { bitmap throws(EngineError) in
                try TorchTensor(
                    Tensor((0..<bitmap.count).map { bitmap[$0] ? 1 : 0 } as [Float], shape: parameter.shape))
            }
            let leaf = try TorchTensor(ct_leaf(value.handle))
            values[slot] = leaf
            states.append(
                OptimizerState(
                    name: parameter.name, leaf: leaf, first: try TorchTensor(ct_zeros_like(leaf.handle)),
                    second: optimizer.kind == .adamw ? try TorchTensor(ct_zeros_like(leaf.handle)) : nil, mask: mask))
        }
    }

    public var learningRate: Double {
        get { settings.learningRate }
        set { settings.learningRate = newValue }
    }

    /// Forward, backward, update.
    /// - Parameters:
    ///   - input: float32 [n] + sample shape.
    ///   - labels: int64 [n].
    ///   - teacherLogits: float32 [n, classes], for distillation.
    /// - Throws: `EngineError.notFinite` when the loss is not finite. After any error the parameters are as they were.
    public func step(
        _ input: Tensor, labels: Tensor, loss: Loss = .crossEntropy, teacherLogits: Tensor? = nil
    ) throws(EngineError) -> StepResult {
        let frame = Frame(training: true, updatesStatistics: true)
        let statistics = try statisticSlots.map { slot throws(EngineError) in
            (slot, try values[slot].map { value throws(EngineError) in try TorchTensor(ct_clone(value.handle)) })
        }
        let result: StepResult
        do {
            (result, _) = try backward(input, labels: labels, loss: loss, teacherLogits: teacherLogits, frame: frame)
        } catch {
            // The forward pass has already mixed the refused batch into the running statistics.
            for (slot, value) in statistics { values[slot] = value }
            throw error
        }
        steps += 1
        for state in states { try update(state) }
        return result
    }

    /// Forward and backward only; parameters and running statistics stay as they are.
    public func gradients(
        _ input: Tensor, labels: Tensor, loss: Loss = .crossEntropy, teacherLogits: Tensor? = nil, training: Bool = true
    ) throws(EngineError) -> (result: StepResult, logits: Tensor, gradients: NamedTensors) {
        let frame = Frame(training: training, updatesStatistics: false)
        let (result, logits) = try backward(
            input, labels: labels, loss: loss, teacherLogits: teacherLogits, frame: frame)
        var gradients = NamedTensors()
        for state in states {
            gradients[state.name] = try TorchTensor(ct_gradient(state.leaf.handle)).tensor()
        }
        return (result, try logits.tensor(), gradients)
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

    /// The tensor with its dead elements zero.
    private static func masked(_ tensor: Tensor, _ bitmap: Bitmap, _ name: String) throws(EngineError) -> Tensor {
        guard tensor.elementType == .float32, bitmap.count == tensor.elementCount else {
            throw .badMask(name: name, bits: bitmap.count, elements: tensor.elementCount)
        }
        var tensor = tensor
        tensor.withMutableElements(as: Float.self) { elements in
            for index in elements.indices where !bitmap[index] { elements[index] = 0 }
        }
        return tensor
    }

    private func backward(
        _ input: Tensor, labels: Tensor, loss: Loss, teacherLogits: Tensor?, frame: Frame
    ) throws(EngineError) -> (StepResult, logits: TorchTensor) {
        let before = ct_set_gradients(true)
        defer { _ = ct_set_gradients(before) }
        try CTorchStatus.check(ct_enter_thread())
        for state in states { try CTorchStatus.check(ct_clear_gradient(state.leaf.handle)) }
        guard let name = graph.inputs.first?.name, let output = graph.outputs.first?.name,
            let slot = program.slots[output]
        else { throw .missingInput("(the model has none)") }
        var working = values
        try program.place(NamedTensors([(name, input)]), into: &working)
        try procedure.run(&working, frame: frame, extents: program.extents(working))
        guard let logits = working[slot] else { throw .unknownOutput(output) }
        try Classification.check(logits, labels: labels)
        let targets = try TorchTensor(labels)
        let total = try lossTensor(loss, logits: logits, targets: targets, teacherLogits: teacherLogits)
        let value = try Classification.item(total)
        guard value.isFinite else { throw .notFinite("the training loss") }
        try CTorchStatus.check(ct_backward(total.handle))
        let correct = try Classification.correct(logits, targets)
        return (StepResult(loss: value, correct: correct, samples: labels.elementCount), logits)
    }

    private func lossTensor(
        _ loss: Loss, logits: TorchTensor, targets: TorchTensor, teacherLogits: Tensor?
    ) throws(EngineError) -> TorchTensor {
        let hard = try TorchTensor(ct_cross_entropy(logits.handle, targets.handle))
        guard case .distillation(let temperature, let alpha) = loss else { return hard }
        guard let teacherLogits else { throw .badBatch("distillation needs the teacher's logits") }
        guard teacherLogits.elementType == .float32, teacherLogits.shape.dimensions == logits.extents else {
            throw .badBatch("the teacher's logits are \(teacherLogits.shape), the student's \(logits.extents)")
        }
        let teacher = try TorchTensor(teacherLogits)
        let soft = try TorchTensor(ct_soft_labels(logits.handle, teacher.handle, temperature))
        return try TorchTensor(ct_weighted_sum(soft.handle, alpha, hard.handle, 1 - alpha))
    }

    private func update(_ state: OptimizerState) throws(EngineError) {
        switch settings.kind {
        case .sgd:
            try CTorchStatus.check(
                ct_sgd_step(
                    state.leaf.handle, state.first.handle, steps == 1, settings.learningRate, settings.momentum,
                    settings.weightDecay, settings.nesterov, state.mask?.handle))
        case .adamw:
            guard let second = state.second else { preconditionFailure("AdamW keeps second moments") }
            try CTorchStatus.check(
                ct_adamw_step(
                    state.leaf.handle, state.first.handle, second.handle, steps, settings.learningRate, settings.beta1,
                    settings.beta2, settings.epsilon, settings.weightDecay, state.mask?.handle))
        }
    }
}
