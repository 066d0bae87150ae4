import Tensors

extension Graph {
    /// Multiply-accumulates of one forward pass over values of these shapes. Elementwise operators, normalisations and
    /// pools count nothing.
    /// - Throws: `ModelError.invalidRequest` beyond 63 bits.
    func multiplyAccumulates(_ shapes: [String: Shape]) throws(ModelError) -> Int {
        var total = 0
        for node in nodes where node.domain.isEmpty {
            guard let count = try multiplyAccumulates(of: node, shapes) else { continue }
            let (sum, overflow) = total.addingReportingOverflow(count)
            guard !overflow else { throw Graph.tooManyMultiplyAccumulates(node) }
            total = sum
        }
        return total
    }

    /// Those of one node, or nil for an operator that counts none.
    /// - Throws: `ModelError.invalidRequest` beyond 63 bits.
    func multiplyAccumulates(of node: Node, _ shapes: [String: Shape]) throws(ModelError) -> Int? {
        guard let factors = factors(of: node, shapes) else { return nil }
        var total = 0
        for product in factors {
            var count = 1
            var overflows = false
            for factor in product {
                let (next, overflow) = count.multipliedReportingOverflow(by: factor)
                (count, overflows) = (next, overflows || overflow)
            }
            let (sum, overflow) = total.addingReportingOverflow(count)
            guard !overflows, !overflow else { throw Graph.tooManyMultiplyAccumulates(node) }
            total = sum
        }
        return total
    }

    private static func tooManyMultiplyAccumulates(_ node: Node) -> ModelError {
        .invalidRequest("the multiply-accumulates of node '\(node.name)' exceed 63 bits")
    }

    /// A node's multiply-accumulates as a sum of products; nil for an operator that counts none.
    private func factors(of node: Node, _ shapes: [String: Shape]) -> [[Int]]? {
        func input(_ index: Int) -> Shape? { node.inputs.indices.contains(index) ? shapes[node.inputs[index]] : nil }
        let output = node.outputs.first.flatMap { shapes[$0] }
        /// Output elements, each a sum over this many terms.
        func each(_ terms: [Int]?) -> [[Int]]? {
            guard let output, let terms else { return nil }
            return [[output.elementCount] + terms]
        }
        switch node.operatorType {
        case "Conv", "ConvInteger": return each(input(1).map { Array($0.dimensions.dropFirst()) })
        case "QLinearConv": return each(input(3).map { Array($0.dimensions.dropFirst()) })
        case "ConvTranspose":
            guard let x = input(0), let weight = input(1) else { return nil }
            return [[x.elementCount] + weight.dimensions.dropFirst()]
        case "Gemm":
            guard let a = input(0), a.rank == 2 else { return nil }
            return each([node.int("transA") ?? 0 != 0 ? a[0] : a[1]])
        case "MatMul", "MatMulInteger", "QLinearMatMul": return each(input(0)?.dimensions.last.map { [$0] })
        case "LSTM", "GRU", "RNN":
            guard let x = input(0), let w = input(1), let r = input(2), x.rank == 3 else { return nil }
            return [[x[0], x[1], w.elementCount], [x[0], x[1], r.elementCount]]
        case "Attention": return attentionFactors(node, input)
        case "Einsum": return einsumFactors(node, shapes)
        default: return nil
        }
    }

    /// Scores and their product with the values.
    private func attentionFactors(_ node: Node, _ input: (Int) -> Shape?) -> [[Int]]? {
        guard let q = input(0), let k = input(1), let v = input(2), q.rank == k.rank, k.rank == v.rank else {
            return nil
        }
        let past = input(4).map { $0.rank == 4 ? $0[2] : 0 } ?? 0
        if q.rank == 4 {
            let length = k[2] + past
            return [[q.elementCount, length], [q[0], q[1], q[2], length, v[3]]]
        }
        guard q.rank == 3, let heads = node.int("q_num_heads"), let groups = node.int("kv_num_heads"), heads > 0,
            groups > 0, let valueHeads = Int(exactly: groups), let queryHeads = Int(exactly: heads)
        else { return nil }
        let length = k[1] + past
        return [[q.elementCount, length], [q[0], q[1], queryHeads, length, v[2] / valueHeads]]
    }

    /// All labels together, once for each further term, as if terms were contracted in order without shrinking.
    private func einsumFactors(_ node: Node, _ shapes: [String: Shape]) -> [[Int]]? {
        guard node.inputs.count > 1 else { return nil }
        let view = NodeShapes(node: node, opset: opset, shapes: shapes, types: [:], known: [:])
        guard let equation = try? EinsumEquation(view) else { return nil }
        return [equation.extents.sorted { $0.key < $1.key }.map(\.value) + [node.inputs.count - 1]]
    }
}
