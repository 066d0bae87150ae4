import ModelGraph
import Tensors

/// How a layer reads a weight: what patterns and the isomorphic scope need to know of it.
public struct WeightLayout: Sendable, Equatable {
    /// The operator and, for convolutions, the kernel's extents and whether it is grouped: equal for layers of one kind.
    public let kind: String
    /// The axis of the outputs: rows of the weight seen as a matrix.
    public let outputAxis: Int
    /// The axis of the inputs, which products sum over: a convolution's input channels, K of a matrix product.
    public let inputAxis: Int

    public init(kind: String, outputAxis: Int, inputAxis: Int) {
        self.kind = kind
        self.outputAxis = outputAxis
        self.inputAxis = inputAxis
    }
}

extension Graph {
    /// The layout of each prunable weight, by its first reader, also behind a Transpose or a conversion. Left out are
    /// weights that no layout fits: those behind a Reshape, and Einsum's without a single summed axis.
    public func weightLayouts() -> [String: WeightLayout] {
        var layouts: [String: WeightLayout] = [:]
        // Values that only move a weight's axes: the weight and which of its axes each axis of the value is.
        var moved: [String: (weight: String, axes: [Int])] = [:]
        for name in prunableNames {
            guard let rank = initializers[name]?.shape.rank else { continue }
            moved[name] = (name, Array(0..<rank))
        }
        for node in nodes where node.domain.isEmpty || node.isFakeQuantization {
            for (position, input) in node.inputs.enumerated() {
                guard let source = moved[input], layouts[source.weight] == nil else { continue }
                let rank = source.axes.count
                switch node.operatorType {
                case "Transpose" where position == 0:
                    let order = node.ints("perm")?.map { Int(clamping: $0) } ?? (0..<rank).reversed()
                    guard order.sorted() == Array(0..<rank), let output = node.outputs.first else { continue }
                    moved[output] = (source.weight, order.map { source.axes[$0] })
                case "Cast", "Identity", "QuantizeLinear", "DequantizeLinear", SimulatedQuantization.operatorType:
                    if position == 0, let output = node.outputs.first { moved[output] = source }
                default:
                    guard let axes = node.weightAxes(position, rank: rank) else { continue }
                    let extents = source.axes.compactMap { initializers[source.weight]?.shape[$0] }
                    layouts[source.weight] = WeightLayout(
                        kind: node.layerKind(weightExtents: extents), outputAxis: source.axes[axes.output],
                        inputAxis: source.axes[axes.input])
                }
            }
        }
        return layouts
    }
}

extension Node {
    /// The axes of outputs and inputs of the weight at a position; nil where there is none.
    fileprivate func weightAxes(_ position: Int, rank: Int) -> (output: Int, input: Int)? {
        guard rank >= 2 else { return nil }
        switch (operatorType, position) {
        case ("Conv", 1): return (0, 1)
        case ("ConvTranspose", 1): return (1, 0)
        case ("Gemm", 0): return int("transA") ?? 0 == 0 ? (0, 1) : (1, 0)
        case ("Gemm", 1): return int("transB") ?? 0 == 0 ? (1, 0) : (0, 1)
        case ("MatMul", 0): return (rank - 2, rank - 1)
        case ("MatMul", 1): return (rank - 1, rank - 2)
        case ("LSTM", 1...2), ("GRU", 1...2), ("RNN", 1...2): return rank == 3 ? (1, 2) : nil
        case ("Einsum", _): return einsumAxes(position, rank: rank)
        default: return nil
        }
    }

    /// For equations without an ellipsis: the only label that is summed over, and the first that is not.
    private func einsumAxes(_ position: Int, rank: Int) -> (output: Int, input: Int)? {
        let sides = (string("equation") ?? "").filter { $0 != " " }.split(
            separator: ">", omittingEmptySubsequences: false)
        guard sides.count == 2, sides[0].hasSuffix("-") else { return nil }
        let terms = sides[0].dropLast().split(separator: ",", omittingEmptySubsequences: false).map(Array.init)
        guard terms.indices.contains(position), terms[position].count == rank else { return nil }
        let labels = terms[position]
        let summed = labels.indices.filter { !sides[1].contains(labels[$0]) }
        guard summed.count == 1, let output = labels.indices.first(where: { sides[1].contains(labels[$0]) }) else {
            return nil
        }
        return (output, summed[0])
    }

    fileprivate func layerKind(weightExtents: [Int]) -> String {
        guard operatorType == "Conv" || operatorType == "ConvTranspose" else { return operatorType }
        let kernel = weightExtents.dropFirst(2).map(String.init).joined(separator: "x")
        return operatorType + " " + kernel + (int("group") ?? 1 == 1 ? "" : " grouped")
    }
}

/// A weight seen as a matrix: one row per output; columns are its other axes in their order.
struct MatrixView {
    let rows: Int
    let columns: Int
    private let outer: Int
    private let inner: Int

    init(_ shape: Shape, outputAxis: Int) {
        rows = shape[outputAxis]
        inner = shape.dimensions[(outputAxis + 1)...].reduce(1, *)
        outer = shape.dimensions[..<outputAxis].reduce(1, *)
        columns = outer * inner
    }

    /// The row and column of each element, in the order of elements.
    @inline(__always)
    func visit(_ body: (_ element: Int, _ row: Int, _ column: Int) -> Void) {
        var element = 0
        for before in 0..<outer {
            for row in 0..<rows {
                for after in 0..<inner {
                    body(element, row, before * inner + after)
                    element += 1
                }
            }
        }
    }
}
