import CTorch
import ModelGraph
import Tensors

/// A graph ready to run in evaluation mode. Not Sendable: owned by one thread.
public final class Executable {
    private var program: Program
    private var values: [TorchTensor?]
    private var procedures: [[String]: Procedure] = [:]

    /// - Throws: `EngineError.unsupported` naming the operator and node.
    public init(_ graph: Graph) throws(EngineError) {
        ct_keep_freed_memory()
        program = try Program(graph)
        values = Array(repeating: nil, count: program.slots.count)
        for (slot, name) in program.constants {
            guard let tensor = graph.initializers[name] else { continue }
            values[slot] = try TorchTensor(tensor)
        }
        let before = ct_set_gradients(false)
        defer { _ = ct_set_gradients(before) }
        try program.foldConstants(into: &values)
    }

    /// Gives an initializer another value for the runs that follow.
    /// - Throws: `EngineError.badSetting` for a name or shape that it has not, and where other constants were computed from it.
    public func replace(_ name: String, with tensor: Tensor) throws(EngineError) {
        guard let slot = program.slots[name], let old = program.graph.initializers[name], old.shape == tensor.shape,
            old.elementType == tensor.elementType, !program.foldedSlots.contains(slot)
        else {
            throw .badSetting("'\(name)' is no constant that can be replaced by \(tensor.elementType) \(tensor.shape)")
        }
        values[slot] = try TorchTensor(tensor)
    }

    /// Runs the graph.
    /// - Parameter outputs: any tensors the graph computes, intermediate ones too; nil for the graph's outputs.
    public func run(_ inputs: NamedTensors, outputs: [String]? = nil) throws(EngineError) -> NamedTensors {
        let names = outputs ?? program.graph.outputs.map(\.name)
        let results = try runHandles(inputs, outputs: names)
        var tensors = NamedTensors()
        for (name, result) in zip(names, results) { tensors[name] = try result.tensor() }
        return tensors
    }

    private func runHandles(_ inputs: NamedTensors, outputs: [String]) throws(EngineError) -> [TorchTensor] {
        let before = ct_set_gradients(false)
        defer { _ = ct_set_gradients(before) }
        try CTorchStatus.check(ct_enter_thread())
        var frame = values
        try program.place(inputs, into: &frame)
        let procedure: Procedure
        if let known = procedures[outputs] {
            procedure = known
        } else {
            procedure = try program.procedure(for: outputs)
            procedures[outputs] = procedure
        }
        try procedure.run(
            &frame, frame: Frame(training: false, updatesStatistics: false), extents: program.extents(frame))
        var results: [TorchTensor] = []
        for name in outputs {
            guard let slot = program.slots[name], let result = frame[slot] else { throw .unknownOutput(name) }
            results.append(result)
        }
        return results
    }

    /// The first output for a batch of a single-input model.
    public func logits(_ input: Tensor) throws(EngineError) -> Tensor {
        guard let name = program.graph.inputs.first?.name else { throw .missingInput("(the model has none)") }
        let outputs = program.graph.outputs.prefix(1).map(\.name)
        return try runHandles(NamedTensors([(name, input)]), outputs: outputs)[0].tensor()
    }

    /// Loss and correct predictions of a batch of a single-input classifier.
    /// - Parameter labels: int64 [n].
    public func evaluate(_ input: Tensor, labels: Tensor) throws(EngineError) -> Evaluation {
        try evaluate(Batch(input, targets: labels))
    }

    /// Loss and correct predictions of a batch, of the first output; without a teacher's part in the loss.
    /// - Throws: `EngineError.notFinite`, `.badBatch` for targets that do not fit.
    public func evaluate(_ batch: Batch, loss: Loss = .crossEntropy) throws(EngineError) -> Evaluation {
        try loss.validate()
        let output = try runHandles(batch.inputs, outputs: program.graph.outputs.prefix(1).map(\.name))[0]
        let before = ct_set_gradients(false)
        defer { _ = ct_set_gradients(before) }
        let tensors = try LossTensors(loss.hard, output: output, targets: batch.targets)
        let value = try LossTensors.item(tensors.scalar(teacherLogits: nil))
        guard value.isFinite else { throw .notFinite("the evaluation loss") }
        return Evaluation(
            lossSum: value * Double(tensors.counted), correct: try tensors.correct(), samples: batch.sampleCount,
            targets: tensors.counted)
    }

    /// The first output for a batch, and values inside the graph: what a student learns from.
    /// - Parameter features: names of any values that the graph computes.
    /// - Throws: `EngineError.unknownOutput` for a name that it does not compute.
    public func logits(
        _ inputs: NamedTensors, features: [String]
    ) throws(EngineError) -> (logits: Tensor, features: NamedTensors) {
        let results = try runHandles(inputs, outputs: program.graph.outputs.prefix(1).map(\.name) + features)
        var tensors = NamedTensors()
        for (name, result) in zip(features, results.dropFirst()) { tensors[name] = try result.tensor() }
        return (try results[0].tensor(), tensors)
    }

    /// The first output for a batch.
    public func logits(_ inputs: NamedTensors) throws(EngineError) -> Tensor {
        try runHandles(inputs, outputs: program.graph.outputs.prefix(1).map(\.name))[0].tensor()
    }
}
