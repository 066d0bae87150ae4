import ModelGraph
import Tensors

/// Finds the nodes whose values follow from the extents of the graph's inputs alone: what exporters compute shapes,
/// positions and masks with. They run once per extents met, not at every step.
struct ShapeArithmetic {
    /// Values that follow from the inputs' extents.
    private var fixedValues: Set<String>
    /// Values whose extents do.
    private var fixedExtents: Set<String>

    init(_ graph: Graph) {
        let parameters = Set(graph.parameters.map(\.name))
        fixedValues = Set(graph.initializers.names).subtracting(parameters)
        fixedExtents = Set(graph.inputs.map(\.name) + graph.initializers.names)
    }

    /// Visits the nodes in their order. Returns whether this one is shape arithmetic.
    mutating func visit(_ node: Node) -> Bool {
        let inputs = node.inputs.filter { !$0.isEmpty }
        let outputs = node.outputs.filter { !$0.isEmpty }
        let hasFixedExtents = inputs.allSatisfy(fixedExtents.contains)
        let isFixed: Bool
        switch node.operatorType {
        case "Shape", "Size": isFixed = hasFixedExtents
        case let type where Self.stateful.contains(type): isFixed = false
        default: isFixed = !inputs.isEmpty && inputs.allSatisfy(fixedValues.contains)
        }
        if isFixed {
            fixedValues.formUnion(outputs)
            fixedExtents.formUnion(outputs)
        } else if hasFixedExtents, !Self.dataDependent.contains(node.operatorType),
            Self.shapeOperands(of: node).allSatisfy(fixedValues.contains)
        {
            fixedExtents.formUnion(outputs)
        }
        return isFixed
    }

    /// Operators whose results differ from step to step: they draw numbers, or follow the mode or statistics.
    private static let stateful: Set<String> = [
        "Dropout", "BatchNormalization", "Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike",
        "RandomUniform", "RandomUniformLike",
    ]

    /// Operators the extents of whose outputs depend on what elements hold.
    private static let dataDependent: Set<String> = ["NonZero", "Unique", "Compress", "NonMaxSuppression"]

    /// Inputs whose values, not only extents, decide the extents of the outputs.
    private static func shapeOperands(of node: Node) -> [String] {
        let positions: Range<Int>
        switch node.operatorType {
        case "Range", "ConstantOfShape", "AffineGrid": positions = 0..<3
        case "Reshape", "Expand", "Slice", "Tile", "Pad", "Resize", "Upsample", "Unsqueeze", "Squeeze", "Split",
            "OneHot", "TopK", "CenterCropPad", "Col2Im", "STFT", "DFT":
            positions = 1..<6
        case let name where name.hasPrefix("Reduce"): positions = 1..<2
        default: return []
        }
        return positions.filter(node.inputs.indices.contains).map { node.inputs[$0] }.filter { !$0.isEmpty }
    }
}
