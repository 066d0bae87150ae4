import Tensors

/// Evaluates the integer arithmetic from which exporters compute shapes (Shape, Gather, Concat ...).
enum HostIntegers {
    /// The values of the node's first output in row-major order, or nil where they are not small known integers.
    static func evaluate(_ view: NodeShapes) -> [Int64]? {
        func known(_ index: Int) -> [Int64]? { view.has(index) ? view.integers[view.node.inputs[index]] : nil }
        switch view.node.operatorType {
        case "Shape": return (try? view.input(0))?.dimensions.map(Int64.init)
        case "Identity", "Unsqueeze", "Squeeze", "Reshape", "Flatten": return known(0)
        case "Cast":
            // 7 is INT64 in TensorProto.DataType.
            return view.node.int("to") == 7 ? known(0) : nil
        case "Gather": return gather(view, known(0), known(1))
        case "Concat":
            guard view.node.inputs.indices.allSatisfy({ (try? view.input($0))?.rank == 1 }) else { return nil }
            var joined: [Int64] = []
            for index in view.node.inputs.indices {
                guard let values = known(index), joined.count + values.count <= ShapeInference.integerLimit else {
                    return nil
                }
                joined += values
            }
            return joined
        case "Add": return combine(known(0), known(1)) { $0.addingReportingOverflow($1) }
        case "Sub": return combine(known(0), known(1)) { $0.subtractingReportingOverflow($1) }
        case "Mul": return combine(known(0), known(1)) { $0.multipliedReportingOverflow(by: $1) }
        case "Div": return combine(known(0), known(1)) { $0.dividedReportingOverflow(by: $1) }
        default: return nil
        }
    }

    private static func gather(_ view: NodeShapes, _ data: [Int64]?, _ indices: [Int64]?) -> [Int64]? {
        guard let data, let indices, (try? view.input(0))?.rank == 1 else { return nil }
        var result: [Int64] = []
        for index in indices {
            let place = index < 0 ? index + Int64(data.count) : index
            guard place >= 0, place < Int64(data.count) else { return nil }
            result.append(data[Int(place)])
        }
        return result
    }

    /// Elementwise with a single value stretched. Overflow or division by zero makes the result unknown.
    private static func combine(
        _ a: [Int64]?, _ b: [Int64]?, _ operation: (Int64, Int64) -> (partialValue: Int64, overflow: Bool)
    ) -> [Int64]? {
        guard let a, let b, a.count == b.count || a.count == 1 || b.count == 1, !a.isEmpty, !b.isEmpty else {
            return nil
        }
        var result: [Int64] = []
        for index in 0..<max(a.count, b.count) {
            let (value, overflow) = operation(a[a.count == 1 ? 0 : index], b[b.count == 1 ? 0 : index])
            guard !overflow else { return nil }
            result.append(value)
        }
        return result
    }
}
