import ModelGraph
import Tensors

// A graph, compiled once for the interpreter: names become slots, attributes are checked and unpacked, and each slot is
// known to be free after its last use, so that peak memory is what is alive, not everything.

/// One node, ready to run.
struct Instruction {
    let node: Node
    /// Slots of the inputs; nil for an optional input left out.
    let inputs: [Int?]
    /// Slots of the outputs; nil for one that nobody asked for.
    let outputs: [Int?]
    /// Whether the outputs follow from the extents of the graph's inputs alone (`ShapeArithmetic`).
    var isShapeArithmetic = false
    /// Slots that nobody reads after this instruction.
    var releases: [Int] = []
    let perform: Operators.Perform
}

/// What an operator may look at besides its inputs.
struct Frame {
    /// Training mode: dropout drops, batch norm uses and updates batch statistics.
    var training: Bool
    /// Whether batch norm may change its running statistics.
    var updatesStatistics: Bool
    /// Whether convolutions and matrix products compute in bfloat16 (`LowPrecision`).
    var usesBfloat16 = false
    /// Whether batch norm takes its running statistics in training too, and leaves them as they are.
    var freezesStatistics = false
}

struct Program {
    let graph: Graph
    private(set) var instructions: [Instruction] = []
    private(set) var slots: [String: Int] = [:]
    /// Slots of initializers, which are never released.
    private(set) var constants: [(slot: Int, name: String)] = []
    let inputSlots: [(slot: Int, value: ValueInfo)]
    /// Slots that folded constants were computed from.
    private(set) var foldedSlots = Set<Int>()

    /// - Parameter fuses: whether nodes may be joined (`Fusion`), so that not every value of the graph can be asked for.
    /// - Throws: `EngineError.unsupported` for an operator or mode that is not implemented.
    init(_ graph: Graph, fuses: Bool = false) throws(EngineError) {
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
        let read = Set(graph.nodes.flatMap(\.inputs) + graph.outputs.map(\.name))
        var arithmetic = ShapeArithmetic(graph)
        var instructions: [Instruction] = []
        for var node in fuses ? Fusion.nodes(of: graph) : graph.nodes
        where node.outputs.contains(where: { !$0.isEmpty }) {
            // Further outputs are optional: only those that somebody reads must be computed.
            for index in node.outputs.indices.dropFirst() where !read.contains(node.outputs[index]) {
                node.outputs[index] = ""
            }
            let perform =
                node.domain == Fusion.domain ? try Fusion.compile(node) : try Operators.compile(node, graph: graph)
            let isArithmetic = arithmetic.visit(node)
            instructions.append(
                Instruction(
                    node: node, inputs: node.inputs.map { $0.isEmpty ? nil : slot($0) },
                    outputs: node.outputs.map { $0.isEmpty ? nil : slot($0) }, isShapeArithmetic: isArithmetic,
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
                for (slot, name) in zip(instruction.outputs, instruction.node.outputs) {
                    guard let slot else { continue }
                    known.insert(slot)
                    constants.append((slot, name))
                }
                folded.append(instruction)
                foldedSlots.formUnion(instruction.inputs.compactMap(\.self))
            }
            return isConstant
        }
        try Procedure(folded).run(&values, frame: Frame(training: false, updatesStatistics: false), extents: [])
    }

    /// The instructions needed for some outputs, with releases for exactly that subset.
    func procedure(for wanted: [String]) throws(EngineError) -> Procedure {
        var needed: Set<Int> = []
        for name in wanted {
            guard let slot = slots[name] else { throw .unknownOutput(name) }
            needed.insert(slot)
        }
        var kept: [Instruction] = []
        var read = needed.union(constants.map(\.slot))
        for instruction in instructions.reversed() {
            let outputs = instruction.outputs.compactMap { $0 }
            guard outputs.contains(where: needed.contains) else { continue }
            var instruction = instruction
            // An output that nobody reads is dead at once.
            instruction.releases = outputs.filter { !needed.contains($0) }
            for case let slot? in instruction.inputs {
                needed.insert(slot)
                if read.insert(slot).inserted { instruction.releases.append(slot) }
            }
            kept.append(instruction)
        }
        return Procedure(kept.reversed())
    }

    /// The extents of the inputs, which decide the results of shape arithmetic.
    func extents(_ values: [TorchTensor?]) -> [[Int]] { inputSlots.map { values[$0.slot]?.extents ?? [] } }

    /// Checks the given inputs against the declared ones and puts them into their slots.
    func place(_ inputs: NamedTensors, into values: inout [TorchTensor?]) throws(EngineError) {
        // Data sets name their only input as they like.
        let isOnly = inputSlots.count == 1 && inputs.count == 1
        for (slot, declared) in inputSlots {
            guard let tensor = inputs[declared.name] ?? (isOnly ? inputs.ordered[0].1 : nil) else {
                throw .missingInput(declared.name)
            }
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
