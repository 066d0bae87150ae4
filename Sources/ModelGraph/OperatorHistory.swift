/// How an operator changed between opsets 13 and 25, from the ONNX operator changelog and the schemas of onnx 1.23. Wider
/// element types change nothing.
struct OperatorHistory {
    /// An opset from which the same node means something else, or takes its settings another way.
    struct MeaningChange {
        enum Condition {
            case always
            /// Only nodes that set this attribute to something other than 0.
            case attribute(String)
            /// Only nodes that read this input.
            case input(Int)
            /// Only nodes that do not read this input.
            case withoutInput(Int)
        }

        var opset: Int64
        var condition: Condition

        func concerns(_ node: Node) -> Bool {
            func has(_ input: Int) -> Bool { node.inputs.count > input && !node.inputs[input].isEmpty }
            switch condition {
            case .always: return true
            case .attribute(let name): return node.attributes[name] ?? .int(0) != .int(0)
            case .input(let input): return has(input)
            case .withoutInput(let input): return !has(input)
            }
        }
    }

    /// The value of a new attribute that means the same as leaving it out.
    enum Neutral {
        /// One number, or all in a list.
        case number(Int64)
        case text(String)
        /// The attribute cannot be left out unchanged.
        case none

        func matches(_ value: AttributeValue) -> Bool {
            switch (self, value) {
            case (.number(let neutral), .int(let value)): value == neutral
            case (.number(let neutral), .ints(let values)): values.allSatisfy { $0 == neutral }
            case (.text(let neutral), .string(let value)): value == neutral
            default: false
            }
        }
    }

    var introduced: Int64 = 13
    var meaningChanges: [MeaningChange] = []
    /// Attributes added later.
    var newAttributes: [(name: String, opset: Int64, neutral: Neutral)] = []
    /// Inputs added later.
    var newInputs: [(position: Int, opset: Int64)] = []
    /// Words that an attribute took later.
    var newValues: [(attribute: String, value: String, opset: Int64)] = []

    static let known: [String: OperatorHistory] = {
        var table: [String: OperatorHistory] = [:]
        for name in unchanged { table[name] = OperatorHistory() }
        for (name, opset) in introductions { table[name] = OperatorHistory(introduced: opset) }
        for name in reductions {
            table[name] = OperatorHistory(
                meaningChanges: [
                    MeaningChange(opset: 18, condition: .attribute("axes")),
                    MeaningChange(opset: 18, condition: .input(1)),
                ], newAttributes: [("noop_with_empty_axes", 18, .number(0))])
        }
        for name in ["LSTM", "GRU", "RNN"] {
            table[name] = OperatorHistory(newAttributes: [("layout", 14, .number(0))])
        }
        for name in ["ScatterND", "ScatterElements"] {
            table[name] = OperatorHistory(
                newAttributes: [("reduction", 16, .text("none"))],
                newValues: [("reduction", "min", 18), ("reduction", "max", 18)])
        }
        return table.merging(changed) { _, own in own }
    }()

    private static let unchanged = [
        "Abs", "Add", "And", "ArgMax", "ArgMin", "Ceil", "Clip", "Concat", "ConstantOfShape", "Conv", "ConvInteger",
        "ConvTranspose", "Cos", "CumSum", "DepthToSpace", "Div", "Dropout", "DynamicQuantizeLinear", "Einsum", "Elu",
        "Equal", "Erf", "Exp", "Expand", "Flatten", "Floor", "Gather", "GatherElements", "GatherND", "Gemm",
        "GlobalAveragePool", "GlobalMaxPool", "Greater", "GreaterOrEqual", "HardSigmoid", "Identity",
        "InstanceNormalization", "IsNaN", "LeakyRelu", "Less", "LessOrEqual", "Log", "LogSoftmax", "MatMul",
        "MatMulInteger", "Max", "MaxPool", "Mean", "Min", "Mod", "Mul", "Neg", "Not", "OneHot", "Or", "PRelu", "Pow",
        "QLinearConv", "QLinearMatMul", "Range", "Reciprocal", "ReduceSum", "Relu", "Round", "Selu", "Sigmoid", "Sign",
        "Sin", "Size", "Slice", "Softmax", "Softplus", "Softsign", "SpaceToDepth", "Sqrt", "Squeeze", "Sub", "Sum",
        "Tanh", "Tile", "TopK", "Transpose", "Unsqueeze", "Where", "Xor",
    ]

    private static let introductions: [(String, Int64)] = [
        ("HardSwish", 14), ("Trilu", 14), ("LayerNormalization", 17), ("Mish", 18), ("Gelu", 20),
        ("RMSNormalization", 23),
    ]

    /// Axes became an input with opset 18; ReduceSum had them as one from 13.
    static let reductions = [
        "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2", "ReduceLogSum",
        "ReduceLogSumExp", "ReduceSumSquare",
    ]

    private static let changed: [String: OperatorHistory] = [
        // Without training_mode, opset 13 told training from inference by the number of outputs.
        "BatchNormalization": OperatorHistory(newAttributes: [("training_mode", 14, .number(0))]),
        "Reshape": OperatorHistory(newAttributes: [("allowzero", 14, .number(0))]),
        "Shape": OperatorHistory(newAttributes: [("start", 15, .number(0)), ("end", 15, .none)]),
        // Opset 19 redefined which windows ceil_mode keeps.
        "AveragePool": OperatorHistory(
            meaningChanges: [MeaningChange(opset: 19, condition: .attribute("ceil_mode"))],
            newAttributes: [("dilations", 19, .number(1))]),
        "LpPool": OperatorHistory(newAttributes: [("ceil_mode", 18, .number(0)), ("dilations", 18, .number(1))]),
        // From opset 18 equal parts are asked for by num_outputs.
        "Split": OperatorHistory(meaningChanges: [MeaningChange(opset: 18, condition: .withoutInput(1))]),
        "Pad": OperatorHistory(newInputs: [(3, 18)], newValues: [("mode", "wrap", 19)]),
        "Resize": OperatorHistory(
            newAttributes: [
                ("antialias", 18, .number(0)), ("axes", 18, .none),
                ("keep_aspect_ratio_policy", 18, .text("stretch")),
            ], newValues: [("coordinate_transformation_mode", "half_pixel_symmetric", 19)]),
        // Scale and bias are one a group before opset 21, and one a channel from there.
        "GroupNormalization": OperatorHistory(
            introduced: 18, meaningChanges: [MeaningChange(opset: 21, condition: .always)],
            newAttributes: [("stash_type", 21, .number(1))]),
        "Cast": OperatorHistory(newAttributes: [("saturate", 19, .number(1)), ("round_mode", 24, .text("up"))]),
        "CastLike": OperatorHistory(
            introduced: 15, newAttributes: [("saturate", 19, .number(1)), ("round_mode", 24, .text("up"))]),
        "QuantizeLinear": OperatorHistory(
            newAttributes: [
                ("saturate", 19, .number(1)), ("block_size", 21, .number(0)), ("output_dtype", 21, .number(0)),
                ("precision", 23, .number(0)),
            ]),
        "DequantizeLinear": OperatorHistory(
            newAttributes: [("block_size", 21, .number(0)), ("output_dtype", 23, .number(0))]),
        "Attention": OperatorHistory(
            introduced: 23,
            newAttributes: [("left_window_size", 25, .none), ("right_window_size", 25, .none)],
            newInputs: [(6, 24)]),
    ]
}
