import CTorch
import ModelGraph
import Tensors

// Reductions along axes, and what is found by comparing along one.
extension Operators {
    static let reductions: [String: OperatorDefinition] = [
        "ReduceMean": .one(reduction(CT_REDUCE_MEAN)), "ReduceSum": .one(reduction(CT_REDUCE_SUM, inputFrom: 13)),
        "ReduceMax": .one(reduction(CT_REDUCE_MAX)), "ReduceMin": .one(reduction(CT_REDUCE_MIN)),
        "ReduceProd": .one(reduction(CT_REDUCE_PROD)), "ReduceL1": .one(reduction(CT_REDUCE_L1)),
        "ReduceL2": .one(reduction(CT_REDUCE_L2)), "ReduceSumSquare": .one(reduction(CT_REDUCE_SUM_SQUARE)),
        "ReduceLogSum": .one(reduction(CT_REDUCE_LOG_SUM)),
        "ReduceLogSumExp": .one(reduction(CT_REDUCE_LOG_SUM_EXP)), "ArgMax": .one(place(ofLargest: true)),
        "ArgMin": .one(place(ofLargest: false)), "TopK": .several(topK), "CumSum": .one(cumulativeSum),
    ]

    /// - Parameter inputFrom: the opset from which the axes are an input; before it they are an attribute.
    static func reduction(_ reduction: CTReduction, inputFrom: Int64 = 18) -> SingleCompiler {
        { node, graph throws(EngineError) in
            let keeps = node.int("keepdims") ?? 1 != 0
            let skipsEmpty = flag(node, "noop_with_empty_axes")
            let constant = try graph.opset < inputFrom ? node.ints("axes") ?? [] : known(node, graph, input: 1)
            return { _, x throws(EngineError) in
                let input = try first(x)
                let rank = input.extents.count
                let isGiven = constant != nil || (x.count > 1 && x[1] != nil)
                let given = isGiven ? try integers(constant, else: x, 1, node) : []
                var axes: Set<Int64> = []
                for axis in given { axes.insert(Int64(try place(node, axis, rank: rank))) }
                guard axes.count == given.count else { throw refuse(node, "an axis given twice") }
                if axes.isEmpty, !skipsEmpty { axes = Set(0..<Int64(rank)) }
                let list = axes.sorted()
                return try TorchTensor(ct_reduce(reduction, input.handle, list, Int32(list.count), keeps))
            }
        }
    }

    static func place(ofLargest largest: Bool) -> SingleCompiler {
        { node, _ throws(EngineError) in
            let axis = node.int("axis") ?? 0
            let keeps = node.int("keepdims") ?? 1 != 0
            let takesLast = flag(node, "select_last_index")
            return { _, x throws(EngineError) in
                let input = try first(x)
                let resolved = try place(node, axis, rank: max(1, input.extents.count))
                return try TorchTensor(
                    ct_arg_extreme(input.handle, Int64(resolved), largest, keeps, takesLast))
            }
        }
    }

    /// Always sorted: an order of its own is what `sorted` = 0 allows.
    static func topK(_ node: Node, _ graph: Graph) throws(EngineError) -> Perform {
        let axis = node.int("axis") ?? -1
        let largest = node.int("largest") ?? 1 != 0
        let constant = try known(node, graph, input: 1)
        return { _, x throws(EngineError) in
            let input = try first(x)
            let resolved = try place(node, axis, rank: input.extents.count)
            guard let k = try integers(constant, else: x, 1, node).first else { throw refuse(node, "an empty k") }
            return try filled(2) { ct_top_k(input.handle, k, Int64(resolved), largest, $0) }
        }
    }

    static func cumulativeSum(_ node: Node, _ graph: Graph) throws(EngineError) -> Single {
        let (exclusive, reverse) = (flag(node, "exclusive"), flag(node, "reverse"))
        let constant = try known(node, graph, input: 1)
        return { _, x throws(EngineError) in
            let input = try first(x)
            guard let axis = try integers(constant, else: x, 1, node).first else { throw refuse(node, "no axis") }
            let resolved = try place(node, axis, rank: input.extents.count)
            return try TorchTensor(ct_cumulative_sum(input.handle, Int64(resolved), exclusive, reverse))
        }
    }
}
