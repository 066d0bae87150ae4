import ModelGraph
import Tensors

/// The weights of a graph, by whether they can be factorized.
public struct FactorizableLayers: Sendable, Equatable {
    /// In node order.
    public var layers: [FactorizableLayer] = []
    /// Other weights of layers, in the order of the parameters, and why not: half a sentence.
    public var refused: [Refusal] = []

    public struct Refusal: Sendable, Equatable {
        public var name: String
        public var reason: String
    }
}

extension Graph {
    /// Finds what can be factorized: Gemm and MatMul with a weight of their own at their second input, stored either way, and
    /// Conv with two spatial axes and one group.
    /// - Throws: `ModelError` where shapes cannot be inferred.
    public func factorizableLayers() throws(ModelError) -> FactorizableLayers {
        let finder = LayerFinder(self, shapes: try sampleShapes())
        var found = FactorizableLayers()
        for name in prunableNames {
            switch finder.layer(ofWeight: name) {
            case .success(let layer): found.layers.append(layer)
            case .failure(let reason): found.refused.append(.init(name: name, reason: reason.text))
            }
        }
        found.layers.sort { $0.nodeIndex < $1.nodeIndex }
        return found
    }
}

private struct LayerFinder {
    struct Reason: Error {
        var text: String
    }

    private let graph: Graph
    private let shapes: [String: Shape]
    private var readers: [String: [(node: Int, input: Int)]] = [:]
    private let outputs: Set<String>

    init(_ graph: Graph, shapes: [String: Shape]) {
        (self.graph, self.shapes) = (graph, shapes)
        outputs = Set(graph.outputs.map(\.name))
        for (index, node) in graph.nodes.enumerated() {
            for (position, input) in node.inputs.enumerated() where !input.isEmpty {
                readers[input, default: []].append((index, position))
            }
        }
    }

    func layer(ofWeight name: String) -> Result<FactorizableLayer, Reason> {
        do throws(Reason) { return .success(try found(name)) } catch { return .failure(error) }
    }

    /// The only reader of a value.
    private func reader(_ name: String) throws(Reason) -> (node: Int, input: Int) {
        let all = readers[name] ?? []
        guard all.count == 1, !outputs.contains(name) else {
            let names = all.prefix(3).map { "'\(graph.nodes[$0.node].name)'" }.joined(separator: ", ")
            throw Reason(text: "its weight is shared (read by \(names)\(outputs.contains(name) ? ", an output" : ""))")
        }
        return all[0]
    }

    private func found(_ name: String) throws(Reason) -> FactorizableLayer {
        guard let weight = graph.initializers[name], weight.elementType == .float32 else {
            throw Reason(text: "its weight is not float32")
        }
        var place = try reader(name)
        var transpose: Int?
        let first = graph.nodes[place.node]
        if first.operatorType == "Transpose", first.ints("perm") ?? [1, 0] == [1, 0], weight.shape.rank == 2 {
            transpose = place.node
            place = try reader(first.outputs[0])
        }
        let node = graph.nodes[place.node]
        guard weight.elementCount > 0, place.input == 1, let read = node.inputs.first, let x = shapes[read],
            let result = node.outputs.first, let y = shapes[result], graph.initializers[read] == nil
        else { throw Reason(text: "\(node.operatorType) does not read it as the second factor of data") }
        switch node.operatorType {
        case "Gemm", "MatMul":
            return try dense(name, weight.shape, place.node, transpose: transpose, x: x, y: y)
        case "Conv" where transpose == nil: return try convolution(name, weight.shape, place.node, x: x, y: y)
        default: throw Reason(text: "\(node.operatorType) is not factorized; Gemm, MatMul and Conv are")
        }
    }

    private func dense(
        _ name: String, _ weight: Shape, _ index: Int, transpose: Int?, x: Shape, y: Shape
    ) throws(Reason) -> FactorizableLayer {
        let node = graph.nodes[index]
        guard weight.rank == 2 else { throw Reason(text: "it is \(weight), not a matrix") }
        guard node.int("transA") ?? 0 == 0 else { throw Reason(text: "its layer transposes its input") }
        let outputsFirst = (node.int("transB") ?? 0 != 0) != (transpose != nil)
        let (inputs, outputs) = outputsFirst ? (weight[1], weight[0]) : (weight[0], weight[1])
        guard x.rank >= 2, x.dimensions.last == inputs, y.dimensions.last == outputs else {
            throw Reason(text: "its layer reads \(x), not rows of \(inputs)")
        }
        return FactorizableLayer(
            name: name, node: node.name, nodeIndex: index,
            form: .dense(
                DenseLayout(outputsFirst: outputsFirst, transpose: transpose, isGemm: node.operatorType == "Gemm")),
            inputs: inputs, outputs: outputs, places: y.elementCount / outputs, input: node.inputs[0],
            output: outputs < inputs ? output(of: node, outputs) : nil)
    }

    private func convolution(
        _ name: String, _ weight: Shape, _ index: Int, x: Shape, y: Shape
    ) throws(Reason) -> FactorizableLayer {
        let node = graph.nodes[index]
        guard weight.rank == 4, x.rank == 4, y.rank == 4 else {
            throw Reason(text: "it has \(weight.rank - 2) spatial axes; only convolutions with 2 are factorized")
        }
        guard node.int("group") ?? 1 == 1 else {
            throw Reason(text: "its convolution has \(node.int("group") ?? 1) groups; only 1 can be factorized")
        }
        func list(_ key: String, _ count: Int, _ fallback: Int) -> [Int] {
            node.ints(key).map { $0.map(Int.init) } ?? Array(repeating: fallback, count: count)
        }
        let autoPad = node.string("auto_pad").flatMap { ["", "NOTSET"].contains($0) ? nil : $0 }
        let extents = ConvolutionExtents(
            kernel: [weight[2], weight[3]], strides: list("strides", 2, 1), dilations: list("dilations", 2, 1),
            pads: list("pads", 4, 0), autoPad: autoPad, input: [x[2], x[3]], output: [y[2], y[3]], batch: x[0])
        return FactorizableLayer(
            name: name, node: node.name, nodeIndex: index, form: .convolution(extents), inputs: weight[1],
            outputs: weight[0], places: x[0] * y[2] * y[3], input: node.inputs[0],
            output: extents.kernel == [1, 1] && weight[0] < weight[1] ? output(of: node, weight[0]) : nil)
    }

    /// The node's result as a product and a bias; nil where the bias is not known.
    private func output(of node: Node, _ outputs: Int) -> LayerOutput? {
        let scale = node.operatorType == "Gemm" ? node.float("beta") ?? 1 : 1
        guard node.inputs.count > 2, !node.inputs[2].isEmpty else {
            return LayerOutput(value: node.outputs[0], bias: nil, scale: 0)
        }
        guard let bias = graph.initializers[node.inputs[2]], bias.elementType == .float32, scale.isFinite,
            bias.elementCount == 1 || (bias.elementCount == outputs && bias.shape.dimensions.last == outputs)
        else { return nil }
        return LayerOutput(value: node.outputs[0], bias: node.inputs[2], scale: scale)
    }
}
