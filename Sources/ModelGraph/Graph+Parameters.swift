import Tensors

/// A float32 initializer that training changes: by gradients (trainable) or by running averages (statistic).
public struct Parameter: Sendable, Equatable {
    public enum Role: Sendable, Equatable { case trainable, statistic }

    public let name: String
    public let shape: Shape
    public let role: Role
}

extension Graph {
    /// The parameters, in the order of the initializers.
    public var parameters: [Parameter] {
        var roles: [String: Parameter.Role] = [:]
        for node in nodes where node.domain.isEmpty {
            for (position, name) in node.inputs.enumerated() {
                guard let role = Graph.role(ofInput: position, of: node), let tensor = initializers[name],
                    tensor.elementType == .float32, tensor.shape.rank > 0, !constantNames.contains(name)
                else { continue }
                roles[name] = roles[name] == .statistic ? .statistic : role
            }
        }
        return initializers.ordered.compactMap { name, tensor in
            roles[name].map { Parameter(name: name, shape: tensor.shape, role: $0) }
        }
    }

    /// What an operator makes of a float32 initializer at an input: nil where it is a setting, such as Clip's bounds.
    private static func role(ofInput position: Int, of node: Node) -> Parameter.Role? {
        switch node.operatorType {
        case "BatchNormalization": return position >= 3 ? .statistic : .trainable
        case "Conv", "ConvTranspose", "Gemm", "MatMul", "LayerNormalization", "InstanceNormalization",
            "GroupNormalization", "PRelu", "LSTM", "GRU", "RNN":
            return .trainable
        case "Add", "Sub", "Mul", "Div", "Concat", "Where": return .trainable
        case "Gather", "Transpose", "Reshape", "Unsqueeze", "Squeeze", "Expand", "Slice", "Flatten":
            return position == 0 ? .trainable : nil
        default: return nil
        }
    }

    /// Names of the parameters that gradients change.
    public var trainableNames: [String] { parameters.filter { $0.role == .trainable }.map(\.name) }

    /// Names of the running means and variances.
    public var statisticNames: [String] { parameters.filter { $0.role == .statistic }.map(\.name) }

    /// Names of the parameters that pruning may mask: weight matrices and kernels of Conv, Gemm and MatMul.
    public var prunableNames: [String] {
        let sources = Dictionary(
            nodes.filter { $0.operatorType == "Transpose" && $0.domain.isEmpty && $0.outputs.count == 1 }.compactMap {
                node in node.inputs.first.map { (node.outputs[0], $0) }
            }, uniquingKeysWith: { first, _ in first })
        var weights = Set<String>()
        for node in nodes where node.domain.isEmpty {
            let positions: ClosedRange<Int>
            switch node.operatorType {
            case "Conv": positions = 1...1
            case "Gemm", "MatMul": positions = 0...1
            default: continue
            }
            for position in positions where position < node.inputs.count {
                let name = node.inputs[position]
                weights.insert(sources[name] ?? name)
            }
        }
        return parameters.filter { $0.role == .trainable && $0.shape.rank >= 2 && weights.contains($0.name) }.map(
            \.name)
    }

    /// The values of all parameters, statistics included, in order.
    public func parameterTensors() -> NamedTensors {
        NamedTensors(parameters.compactMap { parameter in initializers[parameter.name].map { (parameter.name, $0) } })
    }

    /// The graph with other values for some parameters. A skeleton needs all of them and stops being one.
    /// - Throws: `ModelError.invalidRequest` for a name that is no parameter, another shape or type, or one missing.
    public func replacingParameters(_ tensors: NamedTensors) throws(ModelError) -> Graph {
        var graph = self
        let known = parameters
        let shapes = Dictionary(uniqueKeysWithValues: known.map { ($0.name, $0.shape) })
        for (name, tensor) in tensors.ordered {
            guard let shape = shapes[name] else { throw .invalidRequest("the model has no parameter '\(name)'") }
            guard tensor.elementType == .float32, tensor.shape == shape else {
                throw .invalidRequest(
                    "parameter '\(name)' is float32 of shape \(shape) but \(tensor.elementType) \(tensor.shape) was given"
                )
            }
            graph.initializers[name] = tensor
        }
        guard isSkeleton else { return graph }
        if let missing = known.first(where: { tensors[$0.name] == nil }) {
            throw .invalidRequest("the model is a skeleton and no value was given for its parameter '\(missing.name)'")
        }
        graph.metadata[Graph.skeletonKey] = nil
        return graph
    }

    /// Whether this graph carries its parameters' shapes but not their values.
    public var isSkeleton: Bool { metadata[Graph.skeletonKey] == "1" }

    /// The graph with every parameter zero, which `serialized` writes as a shape without data.
    public func skeleton() -> Graph {
        var graph = self
        for parameter in parameters { graph.initializers[parameter.name] = Tensor(zeros: parameter.shape) }
        graph.metadata[Graph.skeletonKey] = "1"
        return graph
    }
}
