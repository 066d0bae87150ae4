extension Graph {
    /// Operators that only quantized files hold.
    private static let quantizedOperators: Set<String> = [
        "QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "MatMulInteger", "ConvInteger", "QLinearConv",
        "QLinearMatMul",
    ]

    /// A sentence that names the node by which the model is seen to be quantized already, and the mend; nil where it is not.
    /// Simulated quantization is none.
    public var reasonAlreadyQuantized: String? {
        let found = nodes.first { node in
            guard node.domain.isEmpty else { return false }
            if Self.quantizedOperators.contains(node.operatorType) { return true }
            // Weights that are scaled by plain arithmetic, and tables that unpack them.
            guard ["Cast", "Gather"].contains(node.operatorType), let codes = node.inputs.first,
                let tensor = initializers[codes], tensor.elementType == .int8
            else { return false }
            return tensor.elementCount > 1
        }
        return found.map { node in
            "node '\(node.name)' (\(node.operatorType)) says that the model is quantized already; start from the float model"
        }
    }
}
