import Tensors

/// Builds the bundled architectures with seeded initial weights, the same bytes on every machine.
public enum ModelBuilder {
    /// Names that `build` takes.
    public static let architectures = ["mlp", "cnn", "resnet18", "resnet20", "mobilenetv2", "transformer"]

    /// Images of at most this many pixels a side keep their size in the stem of `resnet18` and `mobilenetv2`.
    static let smallImage = 64

    /// A model with input `x` (batch first), output `logits` and opset 17.
    /// - Parameters:
    ///   - inputShape: extents of one sample; default [784] for `mlp`, [1, 28, 28] for `cnn`, [3, 32, 32] for the other
    ///     image models; for `transformer` [length] or [length, vocabulary], default [64, 1024], its input being int64
    ///     token ids [batch, length].
    ///   - classes: number of logits, 10 unless given.
    ///   - width: hidden units of `mlp` (256); channels of the first convolution of `cnn` (32), `resnet18` (64),
    ///     `resnet20` (16) and `mobilenetv2` (32, which its paper calls the multiplier 1.0; 24 is 0.75, 16 is 0.5), from
    ///     which all later layers follow; width of the embedding of `transformer` (128).
    ///   - transformer: what else may be chosen for `transformer`; others ignore it.
    /// - Throws: `ModelError.unknownArchitecture`, or `.invalidRequest` for extents that do not fit.
    public static func build(
        architecture: String, inputShape: [Int]? = nil, classes: Int? = nil, width: Int? = nil,
        transformer: TransformerOptions = TransformerOptions(), seed: UInt64
    ) throws(ModelError) -> Graph {
        guard architectures.contains(architecture) else {
            throw .unknownArchitecture(
                name: architecture, suggestion: NearestName.suggestion(for: architecture, in: architectures),
                available: architectures)
        }
        let classes = classes ?? 10
        guard (2...65_536).contains(classes) else {
            throw .invalidRequest("\(architecture): \(classes) classes are impossible; give 2 to 65536")
        }
        if let width, !(1...8_192).contains(width) {
            throw .invalidRequest("\(architecture): width \(width) is impossible; give 1 to 8192")
        }
        if let inputShape, !inputShape.allSatisfy({ (1...65_536).contains($0) }) {
            throw .invalidRequest("\(architecture): input \(inputShape) is impossible; give extents from 1 to 65536")
        }
        switch architecture {
        case "mlp": return try mlp(inputShape ?? [784], classes, width ?? 256, seed)
        case "cnn": return try cnn(inputShape ?? [1, 28, 28], classes, width ?? 32, seed)
        case "resnet18": return try resnet18(inputShape ?? [3, 32, 32], classes, width ?? 64, seed)
        case "mobilenetv2": return try mobileNetV2(inputShape ?? [3, 32, 32], classes, width ?? 32, seed)
        case "transformer":
            return try self.transformer(inputShape ?? [standardLength], classes, width ?? 128, transformer, seed)
        default: return try resnet20(inputShape ?? [3, 32, 32], classes, width ?? 16, seed)
        }
    }

    /// A perceptron with two hidden layers.
    private static func mlp(_ input: [Int], _ classes: Int, _ width: Int, _ seed: UInt64) throws(ModelError) -> Graph {
        guard input.count == 1 || input.count == 3 else {
            throw .invalidRequest("mlp takes an input [N] or [C, H, W], not \(input)")
        }
        let features = input.reduce(1, *)
        guard features <= 1 << 20 else { throw .invalidRequest("mlp: input \(input) has more than 2^20 features") }
        var layers = LayerStack(name: "mlp", input: input, seed: seed)
        if input.count > 1 { layers.flatten() }
        layers.gemm("fc1", from: features, to: width)
        layers.relu("relu1")
        layers.gemm("fc2", from: width, to: width)
        layers.relu("relu2")
        layers.gemm("fc3", from: width, to: classes, isLast: true)
        return layers.graph(classes: classes)
    }

    /// Two convolutions with pooling and two dense layers (LeNet-like).
    private static func cnn(_ input: [Int], _ classes: Int, _ width: Int, _ seed: UInt64) throws(ModelError) -> Graph {
        guard input.count == 3, input[1] >= 4, input[2] >= 4, input[0] <= 8_192 else {
            throw .invalidRequest("cnn takes an input [C, H, W] of at least 4 x 4 pixels, not \(input)")
        }
        let features = 2 * width * (input[1] / 4) * (input[2] / 4)
        guard features <= 1 << 22 else { throw .invalidRequest("cnn: input \(input) gives more than 2^22 features") }
        var layers = LayerStack(name: "cnn", input: input, seed: seed)
        layers.conv("conv1", from: input[0], to: width, bias: true)
        layers.relu("relu1")
        layers.maxPool("pool1")
        layers.conv("conv2", from: width, to: 2 * width, bias: true)
        layers.relu("relu2")
        layers.maxPool("pool2")
        layers.flatten()
        layers.gemm("fc1", from: features, to: 128)
        layers.relu("relu3")
        layers.gemm("fc2", from: 128, to: classes, isLast: true)
        return layers.graph(classes: classes)
    }

    /// ResNet-20 for small images (He et al. 2016, section 4.2) with projection shortcuts.
    private static func resnet20(
        _ input: [Int], _ classes: Int, _ width: Int, _ seed: UInt64
    ) throws(ModelError) -> Graph {
        guard input.count == 3, input[0] <= 8_192 else {
            throw .invalidRequest("resnet20 takes an input [C, H, W], not \(input)")
        }
        guard width <= 1_024 else { throw .invalidRequest("resnet20: width \(width) is impossible; give 1 to 1024") }
        var layers = LayerStack(name: "resnet20", input: input, seed: seed)
        layers.conv("stem.conv", from: input[0], to: width)
        layers.batchNormalization("stem.norm", channels: width)
        layers.relu("stem.relu")
        var channels = width
        for block in 0..<9 {
            let out = width << (block / 3)
            layers.residualBlock("block\(block + 1)", from: channels, to: out, stride: out == channels ? 1 : 2)
            channels = out
        }
        layers.globalAveragePool()
        layers.flatten()
        layers.gemm("fc", from: channels, to: classes, isLast: true)
        return layers.graph(classes: classes)
    }
}
