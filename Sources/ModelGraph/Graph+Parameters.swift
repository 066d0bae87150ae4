import Tensors

/// A float32 initializer that training changes: by gradients (trainable) or by running averages (statistic).
public struct Parameter: Sendable, Equatable {
    public enum Role: Sendable, Equatable { case trainable, statistic }

    public let name: String
    public let shape: Shape
    public let role: Role
}

extension Graph {
    /// The parameters, in the order of the initializers: float32 tensors of at least one axis that a layer reads. What
    /// the file wrote as Constant nodes, integers and settings such as Clip's bounds are none (`ParameterUses` says how
    /// they are told apart). An initializer with several readers is one parameter, shared.
    public var parameters: [Parameter] {
        let uses = ParameterUses(self)
        return initializers.ordered.compactMap { name, tensor in
            guard !constantNames.contains(name), let role = uses.role(of: name, tensor) else { return nil }
            return Parameter(name: name, shape: tensor.shape, role: role)
        }
    }

    /// The running means and variances in pairs, in the order of the BatchNormalizations that own them. Aggregation
    /// treats both as statistics: means are averaged, and a variance over several workers also holds the spread of their
    /// means. A pair that several nodes share is listed once.
    public var batchStatistics: [(mean: String, variance: String)] {
        let statistics = Set(statisticNames)
        var seen = Set<[String]>()
        return nodes.compactMap { node in
            guard node.operatorType == "BatchNormalization", node.domain.isEmpty, node.inputs.count >= 5 else {
                return nil
            }
            let (mean, variance) = (node.inputs[3], node.inputs[4])
            guard statistics.contains(mean), statistics.contains(variance), seen.insert([mean, variance]).inserted
            else { return nil }
            return (mean, variance)
        }
    }

    /// Names of the parameters that gradients change.
    public var trainableNames: [String] { parameters.filter { $0.role == .trainable }.map(\.name) }

    /// How many numbers gradients change.
    public var trainableElementCount: Int {
        parameters.reduce(0) { $0 + ($1.role == .trainable ? $1.shape.elementCount : 0) }
    }

    /// Names of the running means and variances.
    public var statisticNames: [String] { parameters.filter { $0.role == .statistic }.map(\.name) }

    /// Names of the parameters that pruning may mask: the weight matrices and kernels of Conv, ConvTranspose, Gemm,
    /// MatMul, Einsum, LSTM, GRU and RNN, also behind a Transpose, a Reshape or a conversion.
    public var prunableNames: [String] {
        var weights = Set<String>()
        for node in nodes.reversed() where node.domain.isEmpty || node.isFakeQuantization {
            let positions: Range<Int>
            switch node.operatorType {
            case "Conv", "ConvTranspose": positions = 1..<2
            case "Gemm", "MatMul": positions = 0..<2
            case "LSTM", "GRU", "RNN": positions = 1..<3
            case "Einsum": positions = node.inputs.indices
            case "Transpose", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Cast", "Identity", "QuantizeLinear",
                "DequantizeLinear", SimulatedQuantization.operatorType:
                guard let output = node.outputs.first, weights.contains(output) else { continue }
                positions = 0..<1
            default: continue
            }
            for position in positions where position < node.inputs.count { weights.insert(node.inputs[position]) }
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
