import ModelGraph
import Tensors

/// Instructions for some outputs of a program, in order. Remembers the results of shape arithmetic for the input extents
/// it has met. Owned by one thread.
final class Procedure {
    let instructions: [Instruction]
    private(set) var known: [[[Int]]: [Int: TorchTensor]] = [:]

    /// Extents remembered at once: batches come in few shapes, and whoever sends others must not fill the memory.
    private static let rememberedExtents = 32
    /// Elements remembered at most for one set of extents: larger results (masks over long sequences) are computed anew.
    private static let rememberedElements = 1 << 24

    init(_ instructions: [Instruction]) { self.instructions = instructions }

    /// Runs the instructions.
    /// - Parameters:
    ///   - values: initializers and inputs by slot; intermediate results are dropped when dead.
    ///   - extents: those of the graph's inputs.
    func run(_ values: inout [TorchTensor?], frame: Frame, extents: [[Int]]) throws(EngineError) {
        var frame = frame
        let remembered = known[extents]
        var learned: [Int: TorchTensor] = [:]
        for instruction in instructions {
            if instruction.isShapeArithmetic, let remembered {
                for case let slot? in instruction.outputs { values[slot] = remembered[slot] }
            } else {
                let outputs = try perform(instruction, values, &frame)
                for (slot, output) in zip(instruction.outputs, outputs) {
                    guard let slot else { continue }
                    values[slot] = output
                    if instruction.isShapeArithmetic { learned[slot] = output }
                }
            }
            for slot in instruction.releases { values[slot] = nil }
        }
        guard remembered == nil, !learned.isEmpty else { return }
        let elements = learned.values.reduce(0) { $0 + $1.extents.reduce(1, *) }
        guard elements <= Self.rememberedElements else { return }
        if known.count >= Self.rememberedExtents { known.removeAll() }
        known[extents] = learned
    }

    private func perform(
        _ instruction: Instruction, _ values: [TorchTensor?], _ frame: inout Frame
    ) throws(EngineError) -> [TorchTensor?] {
        let inputs = instruction.inputs.map { slot in slot.flatMap { values[$0] } }
        let outputs: [TorchTensor?]
        do {
            outputs =
                frame.usesBfloat16 && LowPrecision.covers(instruction.node) && !instruction.isShapeArithmetic
                ? try LowPrecision.perform(instruction, inputs, &frame) : try instruction.perform(&frame, inputs)
        } catch .runtime(let reason) {
            throw .operatorFailed(
                operatorType: instruction.node.operatorType, node: instruction.node.name, reason: reason)
        }
        for (index, slot) in instruction.outputs.enumerated() where slot != nil {
            guard index < outputs.count, outputs[index] != nil else {
                throw Operators.refuse(instruction.node, "its output \(index) ('\(instruction.node.outputs[index])')")
            }
        }
        return outputs
    }
}
