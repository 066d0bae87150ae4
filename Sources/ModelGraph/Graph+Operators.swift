import Tensors

extension Graph {
    /// Checks that every node's operator is known at this graph's opset. `supported` gives each operator's opsets.
    /// - Throws: `ModelError.unsupportedOperator` for the first node that is not, naming operator, node and opset.
    public func validateOperators(supported: [String: ClosedRange<Int64>]) throws(ModelError) {
        for node in nodes where !node.isFakeQuantization {
            guard node.domain.isEmpty else {
                throw .unsupportedOperator(
                    operatorType: "\(node.domain)::\(node.operatorType)", node: node.name, opset: opset,
                    reason: "export the model with standard ONNX operators only")
            }
            guard let range = supported[node.operatorType] else {
                let names = supported.keys.sorted().joined(separator: ", ")
                throw .unsupportedOperator(
                    operatorType: node.operatorType, node: node.name, opset: opset, reason: "supported are \(names)")
            }
            guard range.contains(opset) else {
                throw .unsupportedOperator(
                    operatorType: node.operatorType, node: node.name, opset: opset,
                    reason: "it is supported from opset \(range.lowerBound) to \(range.upperBound)")
            }
        }
    }

    /// The IR version that came with an opset (onnx/helper.py, VERSION_TABLE).
    static func irVersion(forOpset opset: Int64) -> Int64 {
        switch opset {
        case ...14: 7
        case 15...18: 8
        case 19...20: 9
        case 21...22: 10
        case 23: 11
        case 24: 12
        default: 13
        }
    }

    /// Restates the graph in another opset, when each of its operators means the same in both.
    /// - Throws: `ModelError.unsupportedOpset`, or `ModelError.unsupportedOperator` naming the node in the way.
    public func convertingOpset(to target: Int64) throws(ModelError) -> Graph {
        guard ModelLimits.opsets.contains(target) else { throw .unsupportedOpset(target) }
        guard target != opset else { return self }
        var graph = self
        var taken: Set<String>?
        for (index, node) in nodes.enumerated() {
            if let restated = graph.restating(node, in: target, taken: &taken) {
                graph.nodes[index] = restated
                continue
            }
            func refused(_ reason: String) -> ModelError {
                .unsupportedOperator(operatorType: node.operatorType, node: node.name, opset: target, reason: reason)
            }
            guard node.domain.isEmpty, let history = OperatorHistory.known[node.operatorType] else {
                throw refused("whether it means the same as in opset \(opset) is not known; keep opset \(opset)")
            }
            guard target >= history.introduced else { throw refused("it came with opset \(history.introduced)") }
            let crossed = { (version: Int64) in min(opset, target) < version && version <= max(opset, target) }
            for change in history.meaningChanges where crossed(change.opset) && change.concerns(node) {
                throw refused("its meaning changed with opset \(change.opset); keep opset \(opset)")
            }
            for (position, version) in history.newInputs where target < version {
                guard node.inputs.count > position, !node.inputs[position].isEmpty else { continue }
                throw refused("its input \(position) came with opset \(version)")
            }
            for (attribute, value, version) in history.newValues where target < version {
                guard node.string(attribute) == value else { continue }
                throw refused("its \(attribute) '\(value)' came with opset \(version)")
            }
            for (attribute, version, neutral) in history.newAttributes where target < version {
                guard let value = node.attributes[attribute] else { continue }
                guard neutral.matches(value) else {
                    throw refused("its attribute '\(attribute)' came with opset \(version)")
                }
                graph.nodes[index].attributes[attribute] = nil
            }
        }
        graph.opset = target
        graph.irVersion = max(
            min(graph.irVersion, ModelLimits.newestWrittenIRVersion), Graph.irVersion(forOpset: target))
        return graph
    }

    /// The node in the words of opset 18, where these only moved: axes of a reduction are an input, equal parts of a Split
    /// a number. nil for all others.
    private mutating func restating(_ node: Node, in target: Int64, taken: inout Set<String>?) -> Node? {
        guard opset < 18, target >= 18, node.domain.isEmpty else { return nil }
        var restated = node
        if OperatorHistory.reductions.contains(node.operatorType), let axes = node.ints("axes"), node.inputs.count == 1,
            let shape = try? Shape([axes.count])
        {
            var names = taken ?? valueNames
            let name = Graph.uniqueName("\(node.name).axes", taken: &names)
            taken = names
            initializers[name] = Tensor(axes, shape: shape)
            constantNames.insert(name)
            restated.attributes["axes"] = nil
            restated.inputs.append(name)
            return restated
        }
        guard node.operatorType == "Split", node.inputs.count == 1 else { return nil }
        restated.attributes["num_outputs"] = .int(Int64(node.outputs.count))
        return restated
    }
}
