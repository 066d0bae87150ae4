import Tensors

extension Graph {
    /// The graph in a 16-bit floating-point format: weights and values between; inputs and outputs stay float32 behind and
    /// before a Cast. What is computed from shapes and constants alone stays float32, as positions need more than 11 bits;
    /// so do the scales of Resize, which have no other type. Operators without a 16-bit kernel are the runtime's business.
    /// - Throws: `ModelError.invalidRequest` for a weight that does not fit. Constants, such as masks of -3.4e38, end at
    ///   the largest number of the format instead.
    func inHalfPrecision(_ type: ElementType) throws(ModelError) -> Graph {
        var writer = HalfPrecisionWriter(self, type)
        return try writer.write()
    }
}

private struct HalfPrecisionWriter {
    let graph: Graph
    let type: ElementType
    var draft: GraphDraft
    /// Values computed from the model's inputs, not from their shapes alone.
    private let data: Set<String>
    /// 16-bit versions, by the float32 value's name.
    private var halves: [String: String] = [:]
    private let float32Code = Int64(OnnxTensor.dataType(.float32).rawValue)
    /// float32 values that no input's data reach.
    private var floatArithmetic: Set<String> = []

    init(_ graph: Graph, _ type: ElementType) {
        (self.graph, self.type) = (graph, type)
        draft = GraphDraft(graph)
        var data = Set(graph.inputs.map(\.name))
        for node in graph.nodes
        where node.inputs.contains(where: data.contains) && !IntegerOperators.shapeless.contains(node.operatorType) {
            data.formUnion(node.outputs)
        }
        self.data = data
    }

    mutating func write() throws(ModelError) -> Graph {
        for input in graph.inputs where input.elementType == .float32 {
            halves[input.name] = draft.cast(input.name, to: type, output: "\(input.name).half")
        }
        // An output's name is taken by the Cast behind it.
        var renamed: [String: String] = [:]
        for output in graph.outputs where output.elementType == .float32 && data.contains(output.name) {
            guard halves[output.name] == nil else { continue }
            renamed[output.name] = draft.newName("\(output.name).half")
        }
        for node in graph.nodes { try write(node, renamed) }
        for output in graph.outputs {
            guard let half = renamed[output.name] else { continue }
            draft.nodes.append(
                Node(
                    name: "\(output.name).cast", operatorType: "Cast", inputs: [half], outputs: [output.name],
                    attributes: ["to": .int(float32Code)]))
        }
        return draft.finished()
    }

    private mutating func write(_ original: Node, _ renamed: [String: String]) throws(ModelError) {
        guard original.inputs.contains(where: data.contains),
            !IntegerOperators.shapeless.contains(original.operatorType)
        else {
            let readsFloat = original.inputs.contains {
                floatArithmetic.contains($0) || graph.initializers[$0]?.elementType == .float32
            }
            let casts = original.operatorType == "Cast"
            let makes =
                casts
                ? original.int("to") == float32Code
                : readsFloat || original.operatorType == "ConstantOfShape" && original.makesFloats
            if makes, !IntegerOperators.counting.contains(original.operatorType) {
                floatArithmetic.formUnion(original.outputs)
            }
            // A shape may be asked of a value that has another name now.
            var node = original
            node.inputs = node.inputs.map { renamed[$0] ?? $0 }
            draft.nodes.append(node)
            return
        }
        var node = original
        for position in node.inputs.indices where !(node.operatorType == "Resize" && position > 0) {
            let name = node.inputs[position]
            if let known = halves[name] ?? renamed[name] {
                node.inputs[position] = known
            } else if let tensor = graph.initializers[name], tensor.elementType == .float32 {
                node.inputs[position] = try half(of: tensor, name)
            } else if floatArithmetic.contains(name) {
                let cast = draft.cast(name, to: type, output: "\(name).half")
                halves[name] = cast
                node.inputs[position] = cast
            }
        }
        if node.operatorType == "Cast", node.int("to") == float32Code {
            node.attributes["to"] = .int(Int64(OnnxTensor.dataType(type).rawValue))
        }
        node.outputs = node.outputs.map { renamed[$0] ?? $0 }
        draft.nodes.append(node)
    }

    private mutating func half(of tensor: Tensor, _ name: String) throws(ModelError) -> String {
        let isConstant = graph.constantNames.contains(name) || tensor.elementCount == 1
        let limit: Float = type == .float16 ? 65_504 : Float(bitPattern: 0x7f7f_0000)
        var bits: [UInt16] = []
        bits.reserveCapacity(tensor.elementCount)
        for value in tensor.floats {
            let half = convert(value)
            guard value.isFinite, !isFinite(half) else {
                bits.append(half)
                continue
            }
            guard isConstant else {
                throw .invalidRequest(
                    "weight '\(name)' holds \(value), beyond \(limit), the largest number of \(type); rescale that layer "
                        + "or choose bfloat16 or float32")
            }
            bits.append(convert(value < 0 ? -limit : limit))
        }
        let converted = Tensor(elements: bits, elementType: type, shape: tensor.shape)
        let half = draft.add(converted, named: "\(name).half")
        halves[name] = half
        return half
    }

    private func convert(_ value: Float) -> UInt16 {
        type == .float16 ? HalfPrecision.float16(from: value) : HalfPrecision.bfloat16(from: value)
    }

    private func isFinite(_ bits: UInt16) -> Bool {
        (type == .float16 ? HalfPrecision.float(fromFloat16: bits) : HalfPrecision.float(fromBfloat16: bits)).isFinite
    }
}

extension Node {
    /// Whether a ConstantOfShape fills with float32, as it does where it names no value.
    fileprivate var makesFloats: Bool { tensor("value").map { $0.elementType == .float32 } ?? true }
}
