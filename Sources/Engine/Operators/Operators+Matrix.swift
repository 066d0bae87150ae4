import CTorch
import ModelGraph
import Tensors

// Matrix products.
extension Operators {
    static let matrices: [String: OperatorDefinition] = [
        "Gemm": .one(gemm), "MatMul": .one(binary(ct_matmul)), "Einsum": .one(einsum),
    ]

    static func gemm(_ node: Node, _ graph: Graph) throws(EngineError) -> Single {
        let alpha = Double(node.float("alpha") ?? 1)
        let beta = Double(node.float("beta") ?? 1)
        guard alpha.isFinite, beta.isFinite else { throw refuse(node, "alpha or beta that is not finite") }
        let (transA, transB) = (flag(node, "transA"), flag(node, "transB"))
        return { _, x throws(EngineError) in
            try TorchTensor(
                ct_gemm(first(x).handle, first(x, 1).handle, optional(x, 2), alpha, beta, transA, transB))
        }
    }

    static func einsum(_ node: Node, _ graph: Graph) throws(EngineError) -> Single {
        let equation = (node.string("equation") ?? "").filter { $0 != " " }
        let sides = equation.split(separator: ">", omittingEmptySubsequences: false)
        let operands = (sides[0].hasSuffix("-") ? sides[0].dropLast() : sides[0])
            .split(separator: ",", omittingEmptySubsequences: false)
        // A term is letters with at most one ellipsis.
        let isTerm = { (term: Substring) in
            let letters = term.split(separator: "...", omittingEmptySubsequences: false)
            return letters.count <= 2 && letters.joined().allSatisfy { $0.isASCII && $0.isLetter }
        }
        guard sides.count <= 2, sides.count == 1 || sides[0].hasSuffix("-"), !equation.isEmpty,
            operands.allSatisfy(isTerm), sides.dropFirst().allSatisfy(isTerm)
        else { throw refuse(node, "equation '\(equation)'") }
        guard operands.count == node.inputs.count else {
            throw refuse(node, "\(node.inputs.count) inputs for equation '\(equation)'")
        }
        return { _, x throws(EngineError) in
            var handles: [OpaquePointer?] = []
            for index in x.indices { handles.append(try first(x, index).handle) }
            return try TorchTensor(ct_einsum(equation, handles, Int32(handles.count)))
        }
    }
}
