import Tensors

extension ModelBuilder {
    /// The vocabulary where the input names only a length.
    static let standardVocabulary = 1_024
    /// Tokens of a sequence unless told otherwise.
    public static let standardLength = 64

    /// An encoder for token ids (Vaswani et al. 2017, section 3; Gelu as in BERT): token and position embeddings, blocks
    /// of self-attention and a feed-forward layer four times as wide, and a classifier over one pooled vector.
    /// Matrices begin Xavier-uniform, as in PyTorch's TransformerEncoder; embeddings and the classifier are truncated
    /// normal of deviation 0.02, as in BERT; biases are zero.
    static func transformer(
        _ input: [Int], _ classes: Int, _ width: Int, _ options: TransformerOptions, _ seed: UInt64
    ) throws(ModelError) -> Graph {
        guard input.count == 1 || input.count == 2, input[0] <= 8_192 else {
            throw .invalidRequest(
                "transformer takes an input [length] or [length, vocabulary] of at most 8192 tokens, not \(input)")
        }
        guard (1...64).contains(options.depth) else {
            throw .invalidRequest("transformer: depth \(options.depth) is impossible; give 1 to 64")
        }
        guard options.heads >= 1, width % options.heads == 0 else {
            throw .invalidRequest("transformer: \(options.heads) heads do not divide width \(width)")
        }
        let vocabulary = input.count == 2 ? input[1] : standardVocabulary
        guard (vocabulary + input[0]) * width <= 1 << 28, options.depth * 12 * width * width <= 1 << 28 else {
            throw .invalidRequest(
                "transformer: input \(input), width \(width) and depth \(options.depth) are too large")
        }
        var stack = TransformerStack(width: width, heads: options.heads, seed: seed)
        stack.embed(length: input[0], vocabulary: vocabulary)
        let isPre = options.normalization == .pre
        if !isPre { stack.layerNormalization("embedding.norm") }
        for block in 1...options.depth {
            for (part, isAttention) in [("attention", true), ("feedForward", false)] {
                let name = "block\(block).\(part)"
                let entry = stack.current
                if isPre { stack.layerNormalization("\(name).norm") }
                if isAttention { stack.attention(name) } else { stack.feedForward(name) }
                stack.append("\(name).add", "Add", [stack.current, entry])
                if !isPre { stack.layerNormalization("\(name).norm") }
            }
        }
        if isPre { stack.layerNormalization("norm") }
        stack.pool(options.pooling)
        stack.classify(classes)
        return stack.graph(length: input[0], classes: classes)
    }
}

/// Appends a transformer's layers; `current` is the value [batch, length, width] that the next layer reads.
private struct TransformerStack {
    private let width: Int
    private let heads: Int
    private let weights: InitialWeights
    private var nodes: [Node] = []
    private var initializers = NamedTensors()
    private var constants = NamedTensors()
    private(set) var current = "x"

    init(width: Int, heads: Int, seed: UInt64) {
        self.width = width
        self.heads = heads
        weights = InitialWeights(model: "transformer", seed: seed)
    }

    func graph(length: Int, classes: Int) -> Graph {
        Graph(
            name: "transformer", nodes: nodes,
            inputs: [ValueInfo(name: "x", elementType: .int64, dimensions: [.symbolic("batch"), .fixed(length)])],
            outputs: [
                ValueInfo(name: "logits", elementType: .float32, dimensions: [.symbolic("batch"), .fixed(classes)])
            ],
            initializers: NamedTensors(initializers.ordered + constants.ordered),
            constantNames: Set(constants.names))
    }

    @discardableResult
    mutating func append(
        _ name: String, _ type: String, _ inputs: [String], _ attributes: [String: AttributeValue] = [:],
        output: String? = nil
    ) -> String {
        current = output ?? "\(name).output"
        nodes.append(
            Node(name: name, operatorType: type, inputs: inputs, outputs: [current], attributes: attributes))
        return current
    }

    mutating func embed(length: Int, vocabulary: Int) {
        let spread = InitialWeights.Spread.truncatedNormal(deviation: 0.02)
        for (name, extents) in [("tokens", [vocabulary, width]), ("positions", [1, length, width])] {
            initializers["embedding.\(name)"] = weights.tensor("embedding.\(name)", extents, spread)
        }
        append("embedding.gather", "Gather", ["embedding.tokens", current], ["axis": .int(0)])
        append("embedding.add", "Add", [current, "embedding.positions"])
    }

    mutating func layerNormalization(_ name: String) {
        initializers["\(name).weight"] = weights.tensor([width], filledWith: 1)
        initializers["\(name).bias"] = weights.tensor([width], filledWith: 0)
        append(
            name, "LayerNormalization", [current, "\(name).weight", "\(name).bias"],
            ["axis": .int(-1), "epsilon": .float(1e-5)])
    }

    /// y = x W + b along the last axis.
    private mutating func linear(_ name: String, _ input: String, from: Int, to: Int) {
        initializers["\(name).weight"] = weights.tensor(
            "\(name).weight", [from, to], .xavierUniform(fanIn: from, fanOut: to))
        initializers["\(name).bias"] = weights.tensor([to], filledWith: 0)
        append("\(name).matmul", "MatMul", [input, "\(name).weight"])
        append("\(name).add", "Add", [current, "\(name).bias"])
    }

    /// softmax(Q Kᵀ / sqrt(d)) V over heads of d = width / heads.
    mutating func attention(_ name: String) {
        let entry = current
        let size = width / heads
        constants["attention.split"] = Tensor([0, 0, Int64(heads), Int64(size)], shape: [4])
        constants["attention.join"] = Tensor([0, 0, Int64(width)], shape: [3])
        constants["attention.scale"] = Tensor([1 / Float(size).squareRoot()], shape: [])
        var parts: [String] = []
        for (part, order) in [("query", [0, 2, 1, 3]), ("key", [0, 2, 3, 1]), ("value", [0, 2, 1, 3])] {
            linear("\(name).\(part)", entry, from: width, to: width)
            append("\(name).\(part).split", "Reshape", [current, "attention.split"])
            let order = AttributeValue.ints(order.map(Int64.init))
            parts.append(append("\(name).\(part).transpose", "Transpose", [current], ["perm": order]))
        }
        append("\(name).scores", "MatMul", [parts[0], parts[1]])
        append("\(name).scale", "Mul", [current, "attention.scale"])
        append("\(name).softmax", "Softmax", [current], ["axis": .int(-1)])
        append("\(name).mix", "MatMul", [current, parts[2]])
        append("\(name).transpose", "Transpose", [current], ["perm": .ints([0, 2, 1, 3])])
        append("\(name).join", "Reshape", [current, "attention.join"])
        linear("\(name).project", current, from: width, to: width)
    }

    mutating func feedForward(_ name: String) {
        linear("\(name).expand", current, from: width, to: 4 * width)
        gelu("\(name).gelu")
        linear("\(name).contract", current, from: 4 * width, to: width)
    }

    /// x (1 + erf(x / sqrt 2)) / 2 in operators of opset 17, which has no Gelu.
    private mutating func gelu(_ name: String) {
        constants["gelu.root"] = Tensor([Float(2).squareRoot()], shape: [])
        constants["gelu.one"] = Tensor([Float(1)], shape: [])
        constants["gelu.half"] = Tensor([Float(0.5)], shape: [])
        let entry = current
        append("\(name).divide", "Div", [entry, "gelu.root"])
        append("\(name).erf", "Erf", [current])
        append("\(name).add", "Add", [current, "gelu.one"])
        append("\(name).multiply", "Mul", [entry, current])
        append("\(name).halve", "Mul", [current, "gelu.half"])
    }

    /// [batch, width] from [batch, length, width].
    mutating func pool(_ pooling: TransformerOptions.Pooling) {
        switch pooling {
        case .mean: append("pool", "ReduceMean", [current], ["axes": .ints([1]), "keepdims": .int(0)])
        case .cls:
            constants["pool.first"] = Tensor([Int64(0)], shape: [])
            append("pool", "Gather", [current, "pool.first"], ["axis": .int(1)])
        }
    }

    mutating func classify(_ classes: Int) {
        initializers["fc.weight"] = weights.tensor(
            "fc.weight", [classes, width], .truncatedNormal(deviation: 0.02))
        initializers["fc.bias"] = weights.tensor([classes], filledWith: 0)
        append(
            "fc", "Gemm", [current, "fc.weight", "fc.bias"],
            ["alpha": .float(1), "beta": .float(1), "transB": .int(1)], output: "logits")
    }
}
