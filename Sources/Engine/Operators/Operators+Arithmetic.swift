import CTorch
import ModelGraph
import Tensors

// Functions of two and of more elements: arithmetic, comparison, logic, choice.
extension Operators {
    static let arithmetic: [String: OperatorDefinition] = [
        "Add": .one(binary(CT_BINARY_ADD)), "Sub": .one(binary(CT_BINARY_SUB)), "Mul": .one(binary(CT_BINARY_MUL)),
        "Div": .one(binary(CT_BINARY_DIV)),
        "Pow": .one(binary(CT_BINARY_POW)), "Mod": .one(modulo), "PRelu": .one(binary(CT_BINARY_PRELU)),
        "And": .one(binary(CT_BINARY_AND)), "Or": .one(binary(CT_BINARY_OR)), "Xor": .one(binary(CT_BINARY_XOR)),
        "Equal": .one(binary(CT_BINARY_EQUAL)),
        "Less": .one(binary(CT_BINARY_LESS)), "LessOrEqual": .one(binary(CT_BINARY_LESS_OR_EQUAL)),
        "Greater": .one(binary(CT_BINARY_GREATER)),
        "GreaterOrEqual": .one(binary(CT_BINARY_GREATER_OR_EQUAL)), "Max": .one(fold(CT_BINARY_MAX)),
        "Min": .one(fold(CT_BINARY_MIN)),
        "Sum": .one(fold(CT_BINARY_ADD)), "Mean": .one(mean), "Where": .one(choose),
    ]

    static func binary(_ function: CTBinary) -> SingleCompiler {
        binary { ct_binary(function, $0, $1) }
    }

    /// The same function over all inputs, from the left.
    static func fold(_ function: CTBinary) -> SingleCompiler {
        { _, _ throws(EngineError) in { _, x throws(EngineError) in try folded(function, x) } }
    }

    private static func folded(_ function: CTBinary, _ x: [TorchTensor?]) throws(EngineError) -> TorchTensor {
        var result = try first(x)
        for index in x.indices.dropFirst() {
            result = try TorchTensor(ct_binary(function, result.handle, first(x, index).handle))
        }
        return result
    }

    static func mean(_ node: Node, _ graph: Graph) throws(EngineError) -> Single {
        { _, x throws(EngineError) in
            let sum = try folded(CT_BINARY_ADD, x)
            let count = try TorchTensor(Tensor([Float(x.count)], shape: []))
            let divisor = try TorchTensor(ct_cast(count.handle, Int32(sum.elementType.rawValue)))
            return try TorchTensor(ct_binary(CT_BINARY_DIV, sum.handle, divisor.handle))
        }
    }

    static func modulo(_ node: Node, _ graph: Graph) throws(EngineError) -> Single {
        let isC = flag(node, "fmod")
        return { _, x throws(EngineError) in
            let (a, b) = (try first(x), try first(x, 1))
            guard isC || !a.elementType.isFloatingPoint else { throw refuse(node, "floats without fmod = 1") }
            return try TorchTensor(ct_binary(isC ? CT_BINARY_FMOD : CT_BINARY_MOD, a.handle, b.handle))
        }
    }

    static func choose(_ node: Node, _ graph: Graph) throws(EngineError) -> Single {
        { _, x throws(EngineError) in
            try TorchTensor(ct_where(first(x).handle, first(x, 1).handle, first(x, 2).handle))
        }
    }
}
