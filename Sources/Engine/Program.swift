import ModelGraph
import Tensors

// A graph, compiled once for the interpreter: names become slots, attributes are checked and unpacked, and each slot is
// known to be free after its last use, so that peak memory is what is alive, not everything.

/// One node, ready to run.
struct Instruction {
    let node: Node
    /// Slots of the inputs; nil for an optional input left out.
    let inputs: [Int?]
    let output: Int
    /// Slots that nobody reads after this instruction.
    var releases: [Int] = []
    let perform: (inout Frame, [TorchTensor?]) throws(EngineError) -> TorchTensor
}

/// What an operator may look at besides its inputs.
struct Frame {
    /// Training mode: dropout drops, batch norm uses and updates batch statistics.
    var training: Bool
    /// Whether batch norm may change its running statistics.
    var updatesStatistics: Bool
}

struct Program {
    let graph: Graph
    private(set) var instructions: [Instruction] = []
    private(set) var slots: [String: Int] = [:]
    /// Slots of initializers, which are never released.
    private(set) var constants: [(slot: Int, name: String)] = []
    let inputSlots: [(slot: Int, value: ValueInfo)]

    /// - Throws: `EngineError.unsupported` for an operator or mode that is not implemented.
    init(_ graph: Graph) throws(EngineError) {
        self.graph = graph
        var slots: [String: Int] = [:]
        func slot(_ name: String) -> Int {
            if let slot = slots[name] { return slot }
            slots[name] = slots.count
            return slots.count - 1
        }
        inputSlots = graph.inputs.map { (slot($0.name), $0) }
        constants = graph.initializers.names.map { (slot($0), $0) }
        guard !graph.outputs.isEmpty else { throw .unknownOutput("(the graph declares no output)") }
        let extras = Dictionary(
            graph.nodes.flatMap { node in node.outputs.dropFirst().filter { !$0.isEmpty }.map { ($0, node) } },
            uniquingKeysWith: { first, _ in first })
        for name in graph.nodes.flatMap(\.inputs) + graph.outputs.map(\.name) {
            if let node = extras[name] { throw Operators.refuse(node, "its further output '\(name)' is used") }
        }
        var instructions: [Instruction] = []
        for node in graph.nodes {
            guard let name = node.outputs.first, !name.isEmpty else { continue }
            let perform = try Operators.compile(node, graph: graph)
            instructions.append(
                Instruction(
                    node: node, inputs: node.inputs.map { $0.isEmpty ? nil : slot($0) }, output: slot(name),
                    perform: perform))
        }
        self.slots = slots
        self.instructions = instructions
    }

    /// Computes what depends on initializers alone (dequantized weights) once instead of at every run.
    mutating func foldConstants(into values: inout [TorchTensor?]) throws(EngineError) {
        var known = Set(constants.map(\.slot))
        var folded: [Instruction] = []
        instructions.removeAll { instruction in
            let isConstant =
                !instruction.inputs.isEmpty && instruction.inputs.allSatisfy { $0.map(known.contains) ?? true }
            if isConstant {
                known.insert(instruction.output)
                constants.append((instruction.output, instruction.node.outputs[0]))
                folded.append(instruction)
            }
            return isConstant
        }
        try run(folded, values: &values, frame: Frame(training: false, updatesStatistics: false))
    }

    /// The instructions needed for some outputs, with releases for exactly that subset.
    func plan(for wanted: [String]) throws(EngineError) -> [Instruction] {
        var needed: Set<Int> = []
        for name in wanted {
            guard let slot = slots[name] else { throw .unknownOutput(name) }
            needed.insert(slot)
        }
        var kept: [Instruction] = []
        var read = needed.union(constants.map(\.slot))
        for instruction in instructions.reversed() where needed.contains(instruction.output) {
            var instruction = instruction
            for case let slot? in instruction.inputs {
                needed.insert(slot)
                if read.insert(slot).inserted { instruction.releases.append(slot) }
            }
            kept.append(instruction)
        }
        return kept.reversed()
    }

    /// Runs a plan. `values` holds initializers and inputs by slot; intermediate results are dropped when dead.
    func run(_ plan: [Instruction], values: inout [TorchTensor?], frame: Frame) throws(EngineError) {
        var frame = frame
        for instruction in plan {
            let inputs = instruction.inputs.map { slot in slot.flatMap { values[$0] } }
            do {
                values[instruction.output] = try instruction.perform(&frame, inputs)
            } catch .runtime(let reason) {
                throw .operatorFailed(
                    operatorType: instruction.node.operatorType, node: instruction.node.name, reason: reason)
            }
            for slot in instruction.releases { values[slot] = nil }
        }
    }

    /// Checks the given inputs against the declared ones and puts them into their slots.
    func place(_ inputs: NamedTensors, into values: inout [TorchTensor?]) throws(EngineError) {
        for (slot, declared) in inputSlots {
            guard let tensor = inputs[declared.name] else { throw .missingInput(declared.name) }
            guard declared.accepts(tensor) else {
                throw .wrongInput(
                    name: declared.name, expected: declared.text, found: "\(tensor.elementType) \(tensor.shape)")
            }
            values[slot] = try TorchTensor(tensor)
        }
    }
}

extension ValueInfo {
    /// Whether a tensor has the declared element type and every fixed extent.
    fileprivate func accepts(_ tensor: Tensor) -> Bool {
        guard tensor.elementType == elementType else { return false }
        guard let dimensions else { return true }
        return dimensions.count == tensor.shape.rank
            && zip(dimensions, tensor.shape.dimensions).allSatisfy { dimension, extent in
                if case .fixed(let fixed) = dimension { fixed == extent } else { true }
            }
    }

    fileprivate var text: String {
        let extents = dimensions?.map { dimension in
            switch dimension {
            case .fixed(let extent): String(extent)
            case .symbolic(let name): name
            case .unknown: "?"
            }
        }
        return "\(elementType) [\(extents?.joined(separator: ", ") ?? "...")]"
    }
}
