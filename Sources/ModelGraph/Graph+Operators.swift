import Tensors

extension Graph {
    /// Checks that every node's operator is known at this graph's opset. `supported` gives each operator's opsets.
    /// - Throws: `ModelError.unsupportedOperator` for the first node that is not, naming operator, node and opset.
    public func validateOperators(supported: [String: ClosedRange<Int64>]) throws(ModelError) {
        for node in nodes {
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
        for (index, node) in nodes.enumerated() {
            func refused(_ reason: String) -> ModelError {
                .unsupportedOperator(operatorType: node.operatorType, node: node.name, opset: target, reason: reason)
            }
            guard node.domain.isEmpty, let history = OperatorHistory.known[node.operatorType] else {
                throw refused("whether it means the same as in opset \(opset) is not known; keep opset \(opset)")
            }
            guard target >= history.introduced else { throw refused("it came with opset \(history.introduced)") }
            let crossed = { (version: Int64) in min(opset, target) < version && version <= max(opset, target) }
            for (version, attribute) in history.meaningChanges where crossed(version) {
                if let attribute, node.attributes[attribute] ?? .int(0) == .int(0) { continue }
                throw refused("its meaning changed with opset \(version); keep opset \(opset)")
            }
            for (attribute, version, neutral) in history.newAttributes where target < version {
                guard let value = node.attributes[attribute] else { continue }
                switch value {
                case .int(neutral): break
                case .ints(let values) where values.allSatisfy({ $0 == neutral }): break
                default: throw refused("its attribute '\(attribute)' came with opset \(version)")
                }
                graph.nodes[index].attributes[attribute] = nil
            }
        }
        graph.opset = target
        graph.irVersion = max(
            min(graph.irVersion, ModelLimits.newestWrittenIRVersion), Graph.irVersion(forOpset: target))
        return graph
    }
}

/// How an operator changed between opsets 13 and 21, from the ONNX operator changelog. Wider element types change nothing.
struct OperatorHistory {
    var introduced: Int64 = 13
    /// Opsets from which the same node means something else, or takes its settings another way; when an attribute is
    /// named, only nodes that set it to something other than 0.
    var meaningChanges: [(opset: Int64, attribute: String?)] = []
    /// Attributes added later, with the value (of one number or of all in a list) that means the same as leaving them out.
    var newAttributes: [(name: String, opset: Int64, neutral: Int64)] = []

    static let known: [String: OperatorHistory] = {
        var table: [String: OperatorHistory] = [:]
        for name in [
            "Conv", "Gemm", "MatMul", "Relu", "Clip", "Add", "Sub", "Mul", "Div", "MaxPool", "GlobalAveragePool",
            "Flatten", "Dropout", "Softmax", "Identity", "Sigmoid", "Tanh", "Erf", "Sqrt", "Pow", "Neg", "Exp", "Log",
            "Transpose", "Concat", "Gather", "Squeeze", "Unsqueeze", "Cast", "Slice", "Expand", "LeakyRelu", "Elu",
        ] { table[name] = OperatorHistory() }
        // Without training_mode, opset 13 told training from inference by the number of outputs.
        table["BatchNormalization"] = OperatorHistory(newAttributes: [("training_mode", 14, 0)])
        table["Reshape"] = OperatorHistory(newAttributes: [("allowzero", 14, 0)])
        table["Shape"] = OperatorHistory(newAttributes: [("start", 15, 0)])
        // Opset 19 redefined which windows ceil_mode keeps.
        table["AveragePool"] = OperatorHistory(
            meaningChanges: [(19, "ceil_mode")], newAttributes: [("dilations", 19, 1)])
        table["ReduceMean"] = OperatorHistory(meaningChanges: [(18, nil)])
        table["LayerNormalization"] = OperatorHistory(introduced: 17)
        table["HardSwish"] = OperatorHistory(introduced: 14)
        table["Gelu"] = OperatorHistory(introduced: 20)
        table["QuantizeLinear"] = OperatorHistory(
            newAttributes: [("saturate", 19, 1), ("block_size", 21, 0), ("output_dtype", 21, 0)])
        table["DequantizeLinear"] = OperatorHistory(newAttributes: [("block_size", 21, 0)])
        return table
    }()
}
