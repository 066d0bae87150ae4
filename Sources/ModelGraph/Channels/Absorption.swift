import Tensors

/// Moves what dead channels emit into the biases, or running means, of the layers that read them. Works on the graph as it
/// was, at full size; slicing comes after.
struct Absorption {
    let dead: DeadChannels
    let profiles: ConstantProfiles
    private(set) var graph: Graph
    private(set) var notes: [PruningNote] = []
    /// For initializers that are new: for each of their axes, the value and axis whose indices it shares.
    private(set) var sources: [String: [(value: String, axis: Int)]] = [:]
    private let readers: [String: [(node: Int, input: Int)]]
    private let outputs: Set<String>
    private var taken: Set<String>
    /// Nodes to put behind others.
    private var following: [Int: Node] = [:]

    private init(_ graph: Graph, _ dead: DeadChannels) {
        self.graph = graph
        self.dead = dead
        profiles = ConstantProfiles(graph.masked(dead), dead.structure)
        readers = graph.consumers
        outputs = graph.outputNames
        taken = graph.valueNames
    }

    static func absorb(_ graph: Graph, _ dead: DeadChannels) -> Absorption {
        var absorption = Absorption(graph, dead)
        for index in graph.nodes.indices where graph.nodes[index].domain.isEmpty { absorption.visit(index) }
        var nodes: [Node] = []
        for (index, node) in absorption.graph.nodes.enumerated() {
            nodes.append(node)
            if let next = absorption.following[index] { nodes.append(next) }
        }
        absorption.graph.nodes = nodes
        return absorption
    }

    private var structure: ChannelStructure { dead.structure }

    private mutating func visit(_ index: Int) {
        let node = graph.nodes[index]
        switch node.operatorType {
        case "Conv", "ConvTranspose": convolution(index)
        case "Gemm": gemm(index)
        case "MatMul": matMul(index)
        case "Einsum": einsum(index)
        case "LSTM", "GRU", "RNN": _ = constants(index, node.inputs[0], 2) { _ in false }
        case "AveragePool", "Pad": border(index)
        default: break
        }
    }

    // MARK: What is read

    /// The constants of an operand's dead indices. What is none is noted and counts as 0.
    /// - Parameter isExact: whether the layer takes a constant other than 0 as it is.
    private mutating func constants(
        _ index: Int, _ value: String, _ axis: Int, isExact: (Double) -> Bool
    ) -> [(place: Int, value: Double)] {
        var result: [(place: Int, value: Double)] = []
        var (unknown, bordered): ([DeadChannels.Channel], [DeadChannels.Channel]) = ([], [])
        let profile = profiles[value]
        for (place, channel) in dead.dead(value, axis) {
            guard let constant = profile.value(at: place, axis: axis), constant.isFinite else {
                if !channel.isNormalizedOver { unknown.append(channel) }
                continue
            }
            guard constant != 0 else { continue }
            if !isExact(constant) { bordered.append(channel) }
            result.append((place, constant))
        }
        note(unknown, index, .notConstant)
        note(
            bordered, index,
            ["LSTM", "GRU", "RNN", "MatMul"].contains(graph.nodes[index].operatorType) ? .notConstant : .border)
        return result
    }

    private mutating func note(_ channels: [DeadChannels.Channel], _ index: Int, _ reason: PruningNote.Reason) {
        for group in Set(channels.map(\.group)).sorted() {
            let places = Set(channels.filter { $0.group == group }.map(\.index)).sorted()
            notes.append(
                PruningNote(group: group, channels: places, node: graph.nodes[index].name, reason: reason))
        }
    }

    /// A pool that counts padding, and padding itself, change a constant at the border.
    private mutating func border(_ index: Int) {
        let node = graph.nodes[index]
        let view = structure.view(node)
        if node.operatorType == "AveragePool" {
            guard node.int("count_include_pad") ?? 0 != 0, node.isPadded(kernel: []) else { return }
            _ = constants(index, node.inputs[0], 1) { _ in false }
        } else {
            let fill = view.value(2)?.reals?.first ?? 0
            guard node.string("mode") ?? "constant" == "constant", ShapeRules.paddedAxes(view)?.isEmpty == false else {
                return
            }
            for axis in 0..<structure.rank(node.inputs[0]) { _ = constants(index, node.inputs[0], axis) { $0 == fill } }
        }
    }

    // MARK: Layers

    private mutating func convolution(_ index: Int) {
        let node = graph.nodes[index]
        guard let shape = structure.inference.shapes[node.inputs[1]],
            !ChannelOperators.isDepthwise(node, weight: shape.dimensions)
        else { return }
        let isForward = node.operatorType == "Conv"
        let kernel = Array(shape.dimensions[2...])
        let strides = node.ints("strides") ?? []
        // Each place of a transposed convolution sees all of a kernel only where windows do not overlap in part.
        let isEven =
            isForward ? !node.isPadded(kernel: kernel) : kernel.allSatisfy { $0 == 1 } && strides.allSatisfy { $0 == 1 }
        let found = constants(index, node.inputs[0], 1) { _ in isEven }
        guard !found.isEmpty else { return }
        guard let weight = profiles.tensor(node.inputs[1]) else {
            return note(dead.dead(node.inputs[0], 1).map(\.channel), index, .notConstant)
        }
        let groups = max(1, Int(clamping: node.int("group") ?? 1))
        let outputs = structure.extent(node.outputs[0], 1)
        let (inPart, outPart) = (structure.extent(node.inputs[0], 1) / groups, outputs / groups)
        let inner = kernel.reduce(1, *)
        // A place of a transposed convolution meets one of `stride` taps on average.
        let share = isForward ? 1 : 1 / Double(strides.reduce(1) { $0 * max(1, Int(clamping: $1)) })
        var sums = [Double](repeating: 0, count: outputs)
        weight.withElements(as: Float.self) { values in
            for (place, constant) in found {
                let group = place / inPart
                for output in 0..<outPart {
                    let row =
                        isForward
                        ? (group * outPart + output) * inPart + place % inPart : place * outPart + output
                    var sum = 0.0
                    for tap in 0..<inner { sum += Double(values[row * inner + tap]) }
                    sums[group * outPart + output] += sum * constant * share
                }
            }
        }
        addToConvolution(index, sums)
    }

    private mutating func addToConvolution(_ index: Int, _ sums: [Double]) {
        let node = graph.nodes[index]
        guard sums.contains(where: { $0 != 0 }) else { return }
        let output = node.outputs[0]
        let bias = node.inputs.count > 2 ? node.inputs[2] : ""
        if !bias.isEmpty, add(sums, toInput: 2, of: index) { return }
        if !outputs.contains(output), let reader = readers[output], reader.count == 1, reader[0].input == 0,
            graph.nodes[reader[0].node].operatorType == "BatchNormalization",
            add(sums.map { -$0 }, toInput: 3, of: reader[0].node)
        {
            return
        }
        // A bias that is computed from nothing but constants is written out.
        let profile = bias.isEmpty ? Profile(repeating: 0, rank: 1) : profiles[bias]
        guard profile.rank == 1, !profile.values.contains(where: \.isNaN) else {
            return note(dead.dead(node.inputs[0], 1).map(\.channel), index, .notConstant)
        }
        let values = sums.indices.map { Float(sums[$0] + profile.values[profile.extents[0] == 1 ? 0 : $0]) }
        let name = Graph.uniqueName("\(node.inputs[1]).bias", taken: &taken)
        graph.initializers[name] = Tensor(elements: values, elementType: .float32, shape: [values.count])
        sources[name] = [(output, 1)]
        graph.nodes[index].inputs = [node.inputs[0], node.inputs[1], name]
    }

    /// Adds to an initializer of one axis that a node reads; one with other readers is copied first.
    /// - Returns: false where the input is no such initializer.
    private mutating func add(_ sums: [Double], toInput position: Int, of index: Int) -> Bool {
        let name = graph.nodes[index].inputs[position]
        guard let tensor = graph.initializers[name], tensor.elementType == .float32,
            tensor.elementCount == sums.count
        else { return false }
        let values = zip(tensor.floats, sums).map { Float(Double($0) + $1) }
        var own = name
        if (readers[name]?.count ?? 0) > 1 || outputs.contains(name) {
            own = Graph.uniqueName("\(name).pruned", taken: &taken)
            sources[own] = (0..<tensor.shape.rank).map { (name, $0) }
            graph.nodes[index].inputs[position] = own
        }
        graph.initializers[own] = Tensor(values, shape: tensor.shape)
        return true
    }

    private mutating func gemm(_ index: Int) {
        let node = graph.nodes[index]
        let (a, b) = (node.inputs[0], node.inputs[1])
        let inner = node.int("transA") ?? 0 != 0 ? 0 : 1
        let isTransposed = node.int("transB") ?? 0 != 0
        guard structure.fixed.contains(b) else {
            contraction(index, a, inner, b, isTransposed ? 1 : 0)
            return
        }
        let found = constants(index, a, inner) { _ in true }
        guard !found.isEmpty else { return }
        guard let weight = profiles.tensor(b) else {
            return note(dead.dead(a, inner).map(\.channel), index, .notConstant)
        }
        let alpha = Double(node.float("alpha") ?? 1)
        let sums = weight.weightedSum(found, axis: isTransposed ? 1 : 0).map { $0 * alpha }
        guard sums.contains(where: { $0 != 0 }) else { return }
        let beta = Double(node.float("beta") ?? 1)
        let hasBias = node.inputs.count > 2 && !node.inputs[2].isEmpty
        if hasBias, beta != 0, structure.inference.shapes[node.inputs[2]]?.dimensions.last == sums.count,
            add(sums.map { $0 / beta }, toInput: 2, of: index)
        {
            return
        }
        guard !hasBias || beta == 0 else { return addBehind(index, sums, axis: 1) }
        let name = Graph.uniqueName("\(b).bias", taken: &taken)
        graph.initializers[name] = Tensor(elements: sums.map { Float($0) }, elementType: .float32, shape: [sums.count])
        sources[name] = [(node.outputs[0], 1)]
        graph.nodes[index].inputs = [a, b, name]
        graph.nodes[index].attributes["beta"] = .float(1)
    }

    private mutating func matMul(_ index: Int) {
        let node = graph.nodes[index]
        let (a, b, y) = (node.inputs[0], node.inputs[1], node.outputs[0])
        let (rankA, rankB) = (structure.rank(a), structure.rank(b))
        let isRight = structure.fixed.contains(b)
        guard isRight != structure.fixed.contains(a), isRight ? rankB == 2 : rankA == 2 && rankB > 1 else {
            contraction(index, a, rankA - 1, b, max(rankB - 2, 0))
            return
        }
        let (value, axis, weightName) = isRight ? (a, rankA - 1, b) : (b, rankB - 2, a)
        let found = constants(index, value, axis) { _ in true }
        guard !found.isEmpty else { return }
        guard let weight = profiles.tensor(weightName) else {
            return note(dead.dead(value, axis).map(\.channel), index, .notConstant)
        }
        let sums = weight.weightedSum(found, axis: isRight ? 0 : 1)
        guard sums.contains(where: { $0 != 0 }) else { return }
        if isRight, !outputs.contains(y), let reader = readers[y], reader.count == 1 {
            let next = graph.nodes[reader[0].node]
            if next.operatorType == "Add", let bias = next.inputs.indices.first(where: { $0 != reader[0].input }),
                graph.initializers[next.inputs[bias]]?.shape.dimensions.last == sums.count,
                add(sums, toInput: bias, of: reader[0].node)
            {
                return
            }
        }
        addBehind(index, sums, axis: structure.rank(y) - (isRight ? 1 : 2))
    }

    /// Puts an Add behind a product that has no bias.
    private mutating func addBehind(_ index: Int, _ sums: [Double], axis: Int) {
        let output = graph.nodes[index].outputs[0]
        let rank = structure.rank(output)
        let name = Graph.uniqueName("\(graph.nodes[index].inputs[1]).bias", taken: &taken)
        let product = Graph.uniqueName("\(output).product", taken: &taken)
        let dimensions = [sums.count] + Array(repeating: 1, count: rank - 1 - axis)
        guard let shape = try? Shape(dimensions) else { return }
        graph.initializers[name] = Tensor(sums.map { Float($0) }, shape: shape)
        sources[name] = dimensions.indices.map { (output, axis + $0) }
        graph.nodes[index].outputs[0] = product
        following[index] = Node(
            name: "\(graph.nodes[index].name).bias", operatorType: "Add", inputs: [product, name], outputs: [output])
    }

    /// As `contraction`, for each letter that is summed over.
    private mutating func einsum(_ index: Int) {
        let node = graph.nodes[index]
        guard let equation = try? EinsumEquation(structure.view(node)) else { return }
        for letter in equation.extents.keys.sorted() where !equation.output.contains(letter) {
            let axes = zip(node.inputs, equation.terms).compactMap { value, letters in
                letters.firstIndex(of: letter).map { (value: value, axis: $0) }
            }
            guard let first = axes.first else { continue }
            let lost = dead.dead(first.value, first.axis).filter { place, channel in
                !channel.isNormalizedOver
                    && axes.allSatisfy { profiles[$0.value].value(at: place, axis: $0.axis) != 0 }
            }
            note(lost.map(\.channel), index, .notConstant)
        }
    }

    /// A sum of products of two activations loses nothing where one of the two is 0.
    private mutating func contraction(_ index: Int, _ a: String, _ axisA: Int, _ b: String, _ axisB: Int) {
        let (left, right) = (profiles[a], profiles[b])
        let lost = dead.dead(a, axisA).filter { place, channel in
            !channel.isNormalizedOver && left.value(at: place, axis: axisA) != 0
                && right.value(at: place, axis: axisB) != 0
        }
        note(lost.map(\.channel), index, .notConstant)
    }
}
