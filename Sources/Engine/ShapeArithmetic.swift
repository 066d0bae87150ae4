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
        let isFixed: Bool
        switch node.operatorType {
        case "Shape", "Size": isFixed = inputs.allSatisfy(fixedExtents.contains)
        // Draws anew at every step.
        case "Dropout": isFixed = false
        default: isFixed = !inputs.isEmpty && inputs.allSatisfy(fixedValues.contains)
        }
        let operands = Self.shapeOperands(of: node)
        if isFixed { fixedValues.formUnion(outputs) }
        if isFixed || (inputs.allSatisfy(fixedExtents.contains) && operands.allSatisfy(fixedValues.contains)) {
            fixedExtents.formUnion(outputs)
        }
        return isFixed
    }

    /// Inputs whose values, not only extents, decide the extents of the outputs.
    private static func shapeOperands(of node: Node) -> [String] {
        let positions: any Sequence<Int>
        switch node.operatorType {
        case "Range", "ConstantOfShape": positions = 0..<3
        case "Reshape", "Expand", "Slice", "Tile", "Pad", "Resize", "Unsqueeze", "Squeeze", "Split", "OneHot", "TopK":
            positions = 1..<5
        case let name where name.hasPrefix("Reduce"): positions = 1..<2
        default: return []
        }
        return positions.filter(node.inputs.indices.contains).map { node.inputs[$0] }.filter { !$0.isEmpty }
    }
}
