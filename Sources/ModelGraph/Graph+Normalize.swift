import Tensors

// What `load` does to a file's graph so that the rest of Pleach sees one form.
extension Graph {
    /// Turns Constant nodes into initializers, remembered in `constantNames`.
    mutating func absorbConstants(path: String) throws(ModelError) {
        var kept: [Node] = []
        for node in nodes {
            guard node.operatorType == "Constant", node.domain.isEmpty else {
                kept.append(node)
                continue
            }
            guard node.outputs.count == 1, !node.outputs[0].isEmpty, node.inputs.isEmpty else {
                throw .malformedFile(
                    path: path, reason: "Constant node '\(node.name)' must have one output and no input")
            }
            guard let tensor = node.constantValue else {
                throw .unsupportedFile(
                    path: path,
                    reason: "Constant node '\(node.name)' holds neither tensor nor number; strings and sparse tensors "
                        + "are not supported")
            }
            initializers[node.outputs[0]] = tensor
            constantNames.insert(node.outputs[0])
        }
        nodes = kept
    }

    /// Gives each `Identity` of an initializer an initializer of its own, named by the Identity's output: PyTorch's
    /// exporter writes equal-valued, not shared, tensors that way. Chains of Identity follow, as nodes are sorted.
    mutating func untieAliases() {
        let outputs = outputNames
        var kept: [Node] = []
        for node in nodes {
            guard node.operatorType == "Identity", node.domain.isEmpty, node.inputs.count == 1, node.outputs.count == 1,
                let tensor = initializers[node.inputs[0]], !outputs.contains(node.outputs[0])
            else {
                kept.append(node)
                continue
            }
            initializers[node.outputs[0]] = tensor
            if constantNames.contains(node.inputs[0]) { constantNames.insert(node.outputs[0]) }
        }
        nodes = kept
        untieStatistics()
        orderConstantsLast()
    }

    /// Puts constants behind the other initializers, the order in which they are read back.
    mutating func orderConstantsLast() {
        let ordered = initializers.ordered
        initializers = NamedTensors(
            ordered.filter { !constantNames.contains($0.name) } + ordered.filter { constantNames.contains($0.name) })
    }

    /// Gives a normalisation's input a tensor of its own when the file shares it with another role (a running variance
    /// with a scale, for instance), which constant folding of the above aliases does; otherwise training the one would
    /// overwrite the other. Sharing within one role stays.
    private mutating func untieStatistics() {
        var taken = valueNames
        var roleOf: [String: Int] = [:]
        for node in nodes where node.operatorType != "BatchNormalization" {
            for name in node.inputs { roleOf[name] = 0 }
        }
        var copies: [String: String] = [:]
        for (index, node) in nodes.enumerated() where node.operatorType == "BatchNormalization" {
            for position in 1..<5 where position < node.inputs.count {
                let name = node.inputs[position]
                guard let tensor = initializers[name], roleOf[name, default: position] != position else {
                    roleOf[name] = position
                    continue
                }
                let role = ["scale", "bias", "mean", "variance"][position - 1]
                let own = copies["\(position) \(name)"] ?? Graph.uniqueName("\(name).\(role)", taken: &taken)
                copies["\(position) \(name)"] = own
                initializers[own] = tensor
                nodes[index].inputs[position] = own
            }
        }
    }

    /// Drops initializers that nothing reads.
    mutating func dropUnusedInitializers() {
        let read = Set(nodes.flatMap(\.inputs)).union(outputNames)
        guard initializers.names.contains(where: { !read.contains($0) }) else { return }
        initializers = NamedTensors(initializers.ordered.filter { read.contains($0.name) })
        constantNames.formIntersection(read)
        fourBitNames.formIntersection(read)
    }
}

extension Node {
    /// The value of a Constant node in any of its spellings, except strings and sparse tensors.
    fileprivate var constantValue: Tensor? {
        if let tensor = tensor("value") { return tensor }
        if let number = float("value_float") { return Tensor([number], shape: []) }
        if let number = int("value_int") { return Tensor([number], shape: []) }
        if case .floats(let numbers)? = attributes["value_floats"] {
            return (try? Shape([numbers.count])).map { Tensor(numbers, shape: $0) }
        }
        if let numbers = ints("value_ints") { return (try? Shape([numbers.count])).map { Tensor(numbers, shape: $0) } }
        return nil
    }
}
