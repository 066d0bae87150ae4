import Tensors

/// Appends layers one after another; `current` is the value the next layer reads.
struct LayerStack {
    /// How convolutions begin; their biases begin at zero.
    enum ConvolutionStart { case kaimingUniform, kaimingNormal }

    private let name: String
    private let input: [Int]
    private let start: ConvolutionStart
    private let weights: InitialWeights
    private var nodes: [Node] = []
    private var initializers = NamedTensors()
    private var constants = NamedTensors()
    private(set) var current = "x"

    init(name: String, input: [Int], seed: UInt64, start: ConvolutionStart = .kaimingUniform) {
        self.name = name
        self.input = input
        self.start = start
        weights = InitialWeights(model: name, seed: seed)
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
            initializers: NamedTensors(initializers.ordered + constants.ordered),
            constantNames: Set(constants.names))
    }

    /// 3x3 (or another kernel) convolution that keeps the extent at stride 1.
    mutating func conv(
        _ name: String, from: Int, to: Int, kernel: Int = 3, stride: Int = 1, groups: Int = 1, bias: Bool = false
    ) {
        let spread: InitialWeights.Spread =
            switch start {
            case .kaimingUniform: .kaimingUniform(fanIn: from / groups * kernel * kernel)
            case .kaimingNormal: .kaimingNormal(fanOut: to * kernel * kernel)
            }
        add("\(name).weight", [to, from / groups, kernel, kernel], spread)
        if bias { add("\(name).bias", [to], 0) }
        let (pad, stride) = (Int64(kernel / 2), Int64(stride))
        append(
            name, "Conv", parameters: ["\(name).weight"] + (bias ? ["\(name).bias"] : []),
            attributes: [
                "dilations": .ints([1, 1]), "group": .int(Int64(groups)),
                "kernel_shape": .ints([Int64(kernel), Int64(kernel)]),
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

    /// min(max(x, 0), 6); the bounds are shared by all.
    mutating func relu6(_ name: String) {
        constants["relu6.low"] = Tensor([Float(0)], shape: [])
        constants["relu6.high"] = Tensor([Float(6)], shape: [])
        append(name, "Clip", parameters: ["relu6.low", "relu6.high"])
    }

    /// 2x2 windows side by side, or others.
    mutating func maxPool(_ name: String, kernel: Int64 = 2, stride: Int64 = 2, pad: Int64 = 0) {
        append(
            name, "MaxPool",
            attributes: [
                "kernel_shape": .ints([kernel, kernel]), "pads": .ints([pad, pad, pad, pad]),
                "strides": .ints([stride, stride]),
            ])
    }

    mutating func globalAveragePool() { append("pool", "GlobalAveragePool") }

    mutating func flatten() { append("flatten", "Flatten", attributes: ["axis": .int(1)]) }

    /// A dense layer; the last one writes `logits`.
    /// - Parameter spread: of the weights, when not Kaiming-uniform.
    mutating func gemm(
        _ name: String, from: Int, to: Int, isLast: Bool = false, spread: InitialWeights.Spread? = nil
    ) {
        // Without a ReLU behind it, a layer keeps its input's variance at a smaller spread.
        add(
            "\(name).weight", [to, from], spread ?? .kaimingUniform(fanIn: from, gainSquared: isLast ? 1 : 2))
        add("\(name).bias", [to], 0)
        append(
            name, "Gemm", parameters: ["\(name).weight", "\(name).bias"],
            attributes: ["alpha": .float(1), "beta": .float(1), "transB": .int(1)], output: isLast ? "logits" : nil)
    }

    /// Adds a value computed before to the current one.
    mutating func add(_ name: String, shortcut: String) { append(name, "Add", parameters: [shortcut]) }

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
        initializers[name] = weights.tensor(extents, filledWith: value)
    }

    private mutating func add(_ name: String, _ extents: [Int], _ spread: InitialWeights.Spread) {
        initializers[name] = weights.tensor(name, extents, spread)
    }
}
