import Tensors

/// The element type of each output, as far as memory and shape arithmetic need it.
enum OutputTypes {
    static func type(ofOutput index: Int, _ view: NodeShapes) -> ElementType {
        let first = view.type(0) ?? .float32
        switch view.node.operatorType {
        case "Shape", "Size", "ArgMax", "ArgMin", "NonZero": return .int64
        case "Cast": return view.node.int("to").flatMap(OnnxTensor.elementType(code:)) ?? first
        case "CastLike": return view.type(1) ?? first
        case "Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual", "And", "Or", "Xor", "Not", "IsNaN":
            return .bool
        case "Where": return view.type(1) ?? first
        case "ConstantOfShape": return view.node.tensor("value")?.elementType ?? .float32
        case "QuantizeLinear":
            return view.type(2) ?? view.node.int("output_dtype").flatMap(OnnxTensor.elementType(code:)) ?? .uint8
        case "DequantizeLinear": return view.type(1) ?? .float32
        case "DynamicQuantizeLinear": return index == 1 ? .float32 : .uint8
        case "MatMulInteger", "ConvInteger": return .int32
        case "QLinearConv", "QLinearMatMul": return view.type(7) ?? first
        case "OneHot": return view.type(2) ?? first
        case "MaxPool", "TopK": return index == 1 ? .int64 : first
        case "Dropout": return index == 1 ? .bool : first
        default: return first
        }
    }
}
