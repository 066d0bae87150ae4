import CTorch
import ModelGraph
import Tensors

// Functions of one element.
extension Operators {
    static let elementwise: [String: OperatorDefinition] = [
        "Abs": .one(function(CT_UNARY_ABS)), "Ceil": .one(function(CT_UNARY_CEIL)), "Cos": .one(function(CT_UNARY_COS)),
        "Erf": .one(function(CT_UNARY_ERF)), "Exp": .one(function(CT_UNARY_EXP)),
        "Floor": .one(function(CT_UNARY_FLOOR)),
        "Log": .one(function(CT_UNARY_LOG)), "Neg": .one(function(CT_UNARY_NEG)), "Not": .one(function(CT_UNARY_NOT)),
        "Reciprocal": .one(function(CT_UNARY_RECIPROCAL)), "Relu": .one(function(CT_UNARY_RELU)),
        "Round": .one(function(CT_UNARY_ROUND)), "Sigmoid": .one(function(CT_UNARY_SIGMOID)),
        "Sign": .one(function(CT_UNARY_SIGN)),
        "Sin": .one(function(CT_UNARY_SIN)), "Softplus": .one(function(CT_UNARY_SOFTPLUS)),
        "Softsign": .one(function(CT_UNARY_SOFTSIGN)), "Sqrt": .one(function(CT_UNARY_SQRT)),
        "Tanh": .one(function(CT_UNARY_TANH)),
        "IsNaN": .one(function(CT_UNARY_IS_NAN)), "Mish": .one(function(CT_UNARY_MISH), opsets: 18...25),
        "HardSwish": .one(function(CT_UNARY_HARD_SWISH), opsets: 14...25), "Gelu": .one(gelu, opsets: 20...25),
        "Celu": .one(function(CT_UNARY_CELU, ("alpha", 1))), "Elu": .one(function(CT_UNARY_ELU, ("alpha", 1))),
        "LeakyRelu": .one(function(CT_UNARY_LEAKY_RELU, ("alpha", 0.01))),
        "Selu": .one(
            function(CT_UNARY_SELU, ("alpha", 1.67326319217681884765625), ("gamma", 1.05070102214813232421875))),
        "HardSigmoid": .one(function(CT_UNARY_HARD_SIGMOID, ("alpha", 0.2), ("beta", 0.5))),
        "IsInf": .one(isInfinite), "Clip": .one(clip), "Cast": .one(cast), "CastLike": .one(castLike, opsets: 15...25),
    ]

    /// A function of one element, with up to two float attributes and their defaults.
    static func function(
        _ function: CTUnary, _ alpha: (name: String, value: Float)? = nil, _ beta: (name: String, value: Float)? = nil
    ) -> SingleCompiler {
        { node, _ throws(EngineError) in
            func value(_ attribute: (name: String, value: Float)?) -> Double {
                attribute.map { Double(node.float($0.name) ?? $0.value) } ?? 0
            }
            let (a, b) = (value(alpha), value(beta))
            return { _, x throws(EngineError) in try TorchTensor(ct_unary(function, first(x).handle, a, b)) }
        }
    }

    static func gelu(_ node: Node, _ graph: Graph) throws(EngineError) -> Single {
        let kind: CTUnary
        switch node.string("approximate") ?? "none" {
        case "none": kind = CT_UNARY_GELU
        case "tanh": kind = CT_UNARY_GELU_TANH
        case let other: throw refuse(node, "approximate '\(other)'")
        }
        return { _, x throws(EngineError) in try TorchTensor(ct_unary(kind, first(x).handle, 0, 0)) }
    }

    static func isInfinite(_ node: Node, _ graph: Graph) throws(EngineError) -> Single {
        let negative = node.int("detect_negative") ?? 1 != 0
        let positive = node.int("detect_positive") ?? 1 != 0
        return { _, x throws(EngineError) in
            try TorchTensor(ct_unary(CT_UNARY_IS_INF, first(x).handle, negative ? 1 : 0, positive ? 1 : 0))
        }
    }

    /// Bounds may be constants or computed; where the lower one exceeds the upper one, all becomes the upper one.
    static func clip(_ node: Node, _ graph: Graph) throws(EngineError) -> Single {
        { _, x throws(EngineError) in
            let input = try first(x)
            for case let bound?? in [x.dropFirst().first, x.dropFirst(2).first]
            where bound.elementType != input.elementType {
                throw refuse(node, "a bound of \(bound.elementType) for \(input.elementType)")
            }
            return try TorchTensor(ct_clip(input.handle, optional(x, 1), optional(x, 2)))
        }
    }

    /// The attributes saturate and round_mode concern 8-bit floats only, which are refused.
    static func cast(_ node: Node, _ graph: Graph) throws(EngineError) -> Single {
        guard let code = node.int("to"), let type = elementTypes[code] else {
            throw refuse(node, "a cast to data type \(node.int("to") ?? 0)")
        }
        return { _, x throws(EngineError) in try TorchTensor(ct_cast(first(x).handle, Int32(type.rawValue))) }
    }

    static func castLike(_ node: Node, _ graph: Graph) throws(EngineError) -> Single {
        { _, x throws(EngineError) in
            try TorchTensor(ct_cast(first(x).handle, Int32(first(x, 1).elementType.rawValue)))
        }
    }

    /// TensorProto.DataType, from the ONNX specification.
    static let elementTypes: [Int64: ElementType] = [
        1: .float32, 2: .uint8, 3: .int8, 5: .int16, 6: .int32, 7: .int64, 9: .bool, 10: .float16, 11: .float64,
        16: .bfloat16,
    ]
}
