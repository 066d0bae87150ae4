import Tensors

extension Graph {
    /// Multiply-accumulates of one forward pass of one sample. Axes that inputs leave open get made-up extents, the same as
    /// in `channelGroups`, so that shares of them can be told.
    public func multiplyAccumulates() throws(ModelError) -> Int { try multiplyAccumulates(sampleShapes()) }

    /// The shapes of all values for one sample, with the same made-up extents.
    /// - Throws: `ModelError` where shapes cannot be inferred.
    public func sampleShapes() throws(ModelError) -> [String: Shape] {
        var failure: ModelError?
        for extents in madeUpExtents {
            do throws(ModelError) {
                return try inferShapes(batch: 1, extents: extents)
            } catch { failure = failure ?? error }
        }
        throw failure ?? .invalidRequest("no shapes can be inferred")
    }

    /// Counts parameters, multiply-accumulates, memory and operators.
    /// - Parameters:
    ///   - fileBytes: the size of the model's file; `externalBytes` of its external data.
    ///   - batch: the batch of `macs` and `activationBytes`.
    ///   - extents: of other open axes, as in `inferShapes`. Where one is not given, figures that need it are left out.
    ///   - supported: the operators that the engine runs, with their opsets.
    /// - Throws: `ModelError` where shapes contradict each other, and for an impossible batch or extent.
    public func summary(
        fileBytes: Int, externalBytes: Int = 0, batch: Int = 1, extents: [String: Int] = [:],
        supported: [String: ClosedRange<Int64>]? = nil
    ) throws(ModelError) -> ModelSummary {
        let parameters = self.parameters
        let trainable = parameters.filter { $0.role == .trainable }
        let (count, nonzero) = countedNumbers(trainable.map(\.name))
        let shapes = try knownShapes(batch: batch, extents: extents)
        let prunable = Set(prunableNames)
        return ModelSummary(
            parameters: count, nonzeroParameters: nonzero,
            macs: try shapes.inference.map { inference throws(ModelError) in
                try multiplyAccumulates(inference.shapes)
            },
            bytes: fileBytes + externalBytes, external: externalBytes > 0, opset: opset,
            operators: Dictionary(nodes.map { ($0.operatorType, 1) }, uniquingKeysWith: +),
            inputs: inputs.map(\.summary), outputs: outputs.map(\.summary),
            trainable: ModelSummary.TensorList(trainable),
            statistics: ModelSummary.TensorList(parameters.filter { $0.role == .statistic }),
            prunable: ModelSummary.TensorList(parameters.filter { prunable.contains($0.name) }),
            notQuantizable: nodesStayingFloat(), unsupportedOperators: supported.map(unsupportedOperators) ?? [],
            batch: batch,
            activationBytes: try shapes.inference.map { inference throws(ModelError) in
                try activationBytes(inference, trainable: Set(trainable.map(\.name)))
            },
            missing: shapes.missing)
    }

    /// Trainable numbers and quantized ones, and how many of them are not zero.
    private func countedNumbers(_ trainable: [String]) -> (count: Int, nonzero: Int) {
        var counted = trainable
        var seen = Set(trainable)
        let plain = unpackingWeights()
        for node in plain.nodes where node.operatorType == "DequantizeLinear" {
            guard let name = node.inputs.first, let tensor = plain.initializers[name],
                !tensor.elementType.isFloatingPoint,
                seen.insert(name).inserted
            else { continue }
            counted.append(name)
        }
        var (count, nonzero) = (0, 0)
        for name in counted {
            guard let tensor = plain.initializers[name] else { continue }
            count += tensor.elementCount
            nonzero += tensor.nonzeroCount
        }
        return (count, nonzero)
    }

    /// All shapes, or why they are not known. What contradicts itself is an error.
    private func knownShapes(
        batch: Int, extents: [String: Int]
    ) throws(ModelError) -> (inference: ShapeInference?, missing: [String]) {
        let open = openAxes.filter { extents[$0] == nil }
        guard open.isEmpty else {
            // Checks what was given all the same.
            let rest = Dictionary(open.map { ($0, 1) }, uniquingKeysWith: { first, _ in first })
            _ = try inputShapes(batch: batch, extents: extents.merging(rest) { given, _ in given })
            return (
                nil,
                open.map { "MACs and memory need an extent for '\($0)' (--extent \($0)=N)" }
            )
        }
        if let input = inputs.first(where: { $0.dimensions == nil }) {
            return (nil, ["MACs and memory are not known: input '\(input.name)' declares no shape"])
        }
        do { return (try inferred(batch: batch, extents: extents), []) } catch {
            guard case .unsupportedOperator = error else { throw error }
            return (nil, ["MACs and memory are not known: \(error)"])
        }
    }

    /// What keeps the engine from running the model, by operator.
    func unsupportedOperators(_ supported: [String: ClosedRange<Int64>]) -> [ModelSummary.NodeGroup] {
        grouped { _, node in
            if node.isFakeQuantization { return nil }
            guard node.domain.isEmpty else { return "it belongs to the domain '\(node.domain)'" }
            guard let range = supported[node.operatorType] else { return "the engine does not know it" }
            guard !range.contains(opset) else { return nil }
            return "it is supported from opset \(range.lowerBound) to \(range.upperBound)"
        }
    }

    /// Nodes for which there is something to say, together where operator and reason are the same, in node order.
    func grouped(_ reason: (Int, Node) -> String?) -> [ModelSummary.NodeGroup] {
        var order: [[String]] = []
        var names: [[String]: [String]] = [:]
        for (index, node) in nodes.enumerated() {
            guard let reason = reason(index, node) else { continue }
            let key = [node.operatorType, reason]
            if names[key] == nil { order.append(key) }
            names[key, default: []].append(node.name)
        }
        return order.map { ModelSummary.NodeGroup(operator: $0[0], reason: $0[1], nodes: names[$0] ?? []) }
    }
}

extension ModelSummary.TensorList {
    fileprivate init(_ parameters: [Parameter]) {
        self.init(
            elements: parameters.reduce(0) { $0 + $1.shape.elementCount },
            tensors: parameters.map { ModelSummary.NamedShape(name: $0.name, shape: $0.shape.dimensions) })
    }
}
