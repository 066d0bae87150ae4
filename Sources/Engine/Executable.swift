import CTorch
import ModelGraph
import Tensors

/// Sums over evaluated samples: they fold by addition.
public struct Evaluation: Sendable, Equatable {
    public var lossSum: Double
    public var correct: Int
    public var samples: Int

    public init(lossSum: Double = 0, correct: Int = 0, samples: Int = 0) {
        self.lossSum = lossSum
        self.correct = correct
        self.samples = samples
    }
}

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

    /// Loss (cross-entropy) and correct predictions of a batch of a single-input classifier.
    /// - Parameter labels: int64 [n].
    public func evaluate(_ input: Tensor, labels: Tensor) throws(EngineError) -> Evaluation {
        guard let name = program.graph.inputs.first?.name else { throw .missingInput("(the model has none)") }
        let outputs = program.graph.outputs.prefix(1).map(\.name)
        let logits = try runHandles(NamedTensors([(name, input)]), outputs: outputs)[0]
        let before = ct_set_gradients(false)
        defer { _ = ct_set_gradients(before) }
        try Classification.check(logits, labels: labels)
        let targets = try TorchTensor(labels)
        let loss = try Classification.item(TorchTensor(ct_cross_entropy(logits.handle, targets.handle)))
        guard loss.isFinite else { throw .notFinite("the evaluation loss") }
        let correct = try Classification.correct(logits, targets)
        return Evaluation(lossSum: loss * Double(labels.elementCount), correct: correct, samples: labels.elementCount)
    }
}

/// What losses and accuracy need of logits and labels.
enum Classification {
    /// Logits [n, classes] and labels int64 [n] in 0..<classes.
    static func check(_ logits: TorchTensor, labels: Tensor) throws(EngineError) {
        let extents = logits.extents
        guard extents.count == 2, labels.elementType == .int64, labels.shape.dimensions == [extents[0]] else {
            throw .badBatch("labels \(labels.elementType) \(labels.shape) do not match logits \(extents)")
        }
        let bad = labels.withElements(as: Int64.self) { $0.first { $0 < 0 || $0 >= extents[1] } }
        if let bad { throw .badBatch("label \(bad) is out of range for \(extents[1]) classes") }
    }

    static func item(_ scalar: TorchTensor) throws(EngineError) -> Double {
        var value = 0.0
        try CTorchStatus.check(ct_item(scalar.handle, &value))
        return value
    }

    static func correct(_ logits: TorchTensor, _ labels: TorchTensor) throws(EngineError) -> Int {
        var count: Int64 = 0
        try CTorchStatus.check(ct_count_correct(logits.handle, labels.handle, &count))
        return Int(count)
    }
}
