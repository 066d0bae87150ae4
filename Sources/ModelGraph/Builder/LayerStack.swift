import Tensors

/// Appends layers one after another; `current` is the value the next layer reads.
struct LayerStack {
    private let name: String
    private let input: [Int]
    private let seed: UInt64
    private var nodes: [Node] = []
    private var initializers = NamedTensors()
    private var current = "x"

    init(name: String, input: [Int], seed: UInt64) {
        self.name = name
        self.input = input
        self.seed = seed
    }

    func graph(classes: Int) -> Graph {
        Graph(
            name: name, nodes: nodes,
            inputs: [
                ValueInfo(
                    name: "x", elementType: .float32, dimensions: [.symbolic("batch")] + input.map(Dimension.fixed))
            ],
            outputs: [
                ValueInfo(name: "logits", elementType: .float32, dimensions: [.symbolic("batch"), .fixed(classes)])
            ],
            initializers: initializers)
    }

    /// 3x3 (or another kernel) convolution that keeps the extent at stride 1.
    mutating func conv(_ name: String, from: Int, to: Int, kernel: Int = 3, stride: Int = 1, bias: Bool = false) {
        addWeight("\(name).weight", [to, from, kernel, kernel], fanIn: from * kernel * kernel)
        if bias { add("\(name).bias", [to], 0) }
        let (pad, stride) = (Int64(kernel / 2), Int64(stride))
        append(
            name, "Conv", parameters: ["\(name).weight"] + (bias ? ["\(name).bias"] : []),
            attributes: [
                "dilations": .ints([1, 1]), "group": .int(1), "kernel_shape": .ints([Int64(kernel), Int64(kernel)]),
                "pads": .ints([pad, pad, pad, pad]), "strides": .ints([stride, stride]),
            ])
    }

    mutating func batchNormalization(_ name: String, channels: Int) {
        let parts: [(String, Float)] = [("weight", 1), ("bias", 0), ("running_mean", 0), ("running_var", 1)]
        for (part, value) in parts { add("\(name).\(part)", [channels], value) }
        append(
            name, "BatchNormalization", parameters: parts.map { "\(name).\($0.0)" },
            attributes: ["epsilon": .float(1e-5), "momentum": .float(0.9), "training_mode": .int(0)])
    }

    mutating func relu(_ name: String) { append(name, "Relu") }

    mutating func maxPool(_ name: String) {
        append(
            name, "MaxPool",
            attributes: ["kernel_shape": .ints([2, 2]), "pads": .ints([0, 0, 0, 0]), "strides": .ints([2, 2])])
    }

    mutating func globalAveragePool() { append("pool", "GlobalAveragePool") }

    mutating func flatten() { append("flatten", "Flatten", attributes: ["axis": .int(1)]) }

    /// A dense layer; the last one writes `logits`.
    mutating func gemm(_ name: String, from: Int, to: Int, isLast: Bool = false) {
        // Without a ReLU behind it, a layer keeps its input's variance at a smaller spread.
        addWeight("\(name).weight", [to, from], fanIn: from, gainSquared: isLast ? 1 : 2)
        add("\(name).bias", [to], 0)
        append(
            name, "Gemm", parameters: ["\(name).weight", "\(name).bias"],
            attributes: ["alpha": .float(1), "beta": .float(1), "transB": .int(1)], output: isLast ? "logits" : nil)
    }

    /// Two convolutions around a shortcut, which is a 1x1 projection where the shape changes.
    mutating func residualBlock(_ name: String, from: Int, to: Int, stride: Int) {
        let entry = current
        conv("\(name).conv1", from: from, to: to, stride: stride)
        batchNormalization("\(name).norm1", channels: to)
        relu("\(name).relu1")
        conv("\(name).conv2", from: to, to: to)
        batchNormalization("\(name).norm2", channels: to)
        let branch = current
        current = entry
        if from != to || stride != 1 {
            conv("\(name).shortcut.conv", from: from, to: to, kernel: 1, stride: stride)
            batchNormalization("\(name).shortcut.norm", channels: to)
        }
        let shortcut = current
        current = branch
        append("\(name).add", "Add", parameters: [shortcut])
        relu("\(name).relu2")
    }

    private mutating func append(
        _ name: String, _ type: String, parameters: [String] = [], attributes: [String: AttributeValue] = [:],
        output: String? = nil
    ) {
        let result = output ?? "\(name).output"
        nodes.append(
            Node(
                name: name, operatorType: type, inputs: [current] + parameters, outputs: [result],
                attributes: attributes))
        current = result
    }

    private mutating func add(_ name: String, _ extents: [Int], _ value: Float) {
        let shape = Self.shape(extents)
        initializers[name] = Tensor([Float](repeating: value, count: shape.elementCount), shape: shape)
    }

    /// Kaiming-uniform (He et al. 2015, section 2.2): U(-b, b) with b = sqrt(3 gain^2 / fanIn), gain^2 = 2 before a ReLU.
    /// Only + - * / and sqrt, which IEEE 754 rounds exactly, so every machine gets the same bits.
    private mutating func addWeight(_ name: String, _ extents: [Int], fanIn: Int, gainSquared: Float = 2) {
        let bound = (3 * gainSquared / Float(fanIn)).squareRoot()
        var generator = SeededGenerator(seed: seed, labels: self.name, name)
        let shape = Self.shape(extents)
        var values: [Float] = []
        values.reserveCapacity(shape.elementCount)
        for _ in 0..<shape.elementCount { values.append((2 * generator.uniform() - 1) * bound) }
        initializers[name] = Tensor(values, shape: shape)
    }

    private static func shape(_ extents: [Int]) -> Shape {
        guard let shape = try? Shape(extents) else { preconditionFailure("invalid layer shape \(extents)") }
        return shape
    }
}
