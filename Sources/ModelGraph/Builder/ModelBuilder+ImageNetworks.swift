import Tensors

// The reference networks for images. Both take small images too: up to 64 pixels a side, the stem keeps the size, because
// the strides that suit 224 pixels would leave a 32 x 32 image one pixel.
extension ModelBuilder {
    /// ResNet-18 (He et al. 2016, table 1) with projection shortcuts and Kaiming-normal convolutions, as torchvision's.
    /// Stem: 7x7 at stride 2 and 3x3 max pooling at stride 2; for small images 3x3 at stride 1, without pooling.
    static func resnet18(
        _ input: [Int], _ classes: Int, _ width: Int, _ seed: UInt64
    ) throws(ModelError) -> Graph {
        try checkImage("resnet18", input, width, greatestWidth: 1_024)
        var layers = LayerStack(name: "resnet18", input: input, seed: seed, start: .kaimingNormal)
        let isSmall = max(input[1], input[2]) <= smallImage
        layers.conv("stem.conv", from: input[0], to: width, kernel: isSmall ? 3 : 7, stride: isSmall ? 1 : 2)
        layers.batchNormalization("stem.norm", channels: width)
        layers.relu("stem.relu")
        if !isSmall { layers.maxPool("stem.pool", kernel: 3, stride: 2, pad: 1) }
        var channels = width
        for block in 0..<8 {
            let out = width << (block / 2)
            layers.residualBlock("block\(block + 1)", from: channels, to: out, stride: out == channels ? 1 : 2)
            channels = out
        }
        layers.globalAveragePool()
        layers.flatten()
        // PyTorch's Linear: U(-1/sqrt(fanIn), 1/sqrt(fanIn)).
        layers.gemm(
            "fc", from: channels, to: classes, isLast: true,
            spread: .uniform(bound: 1 / Float(channels).squareRoot()))
        return layers.graph(classes: classes)
    }

    /// MobileNetV2 (Sandler et al. 2018, table 2). Widths are rounded to multiples of 8 as in the reference code; the
    /// last layer never has fewer than 1,280 channels. Small images are halved in the stem and in the second row of the
    /// table not at all, so that 32 x 32 pixels end as 4 x 4.
    static func mobileNetV2(
        _ input: [Int], _ classes: Int, _ width: Int, _ seed: UInt64
    ) throws(ModelError) -> Graph {
        try checkImage("mobilenetv2", input, width, greatestWidth: 1_024)
        let isSmall = max(input[1], input[2]) <= smallImage
        func channels(_ standard: Int) -> Int { roundedToEights(numerator: standard * width, denominator: 32) }
        var layers = LayerStack(name: "mobilenetv2", input: input, seed: seed, start: .kaimingNormal)
        var current = channels(32)
        layers.conv("stem.conv", from: input[0], to: current, stride: isSmall ? 1 : 2)
        layers.batchNormalization("stem.norm", channels: current)
        layers.relu6("stem.relu6")
        // Expansion, channels, repetitions, stride of the first.
        let table = [
            (1, 16, 1, 1), (6, 24, 2, isSmall ? 1 : 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2),
            (6, 320, 1, 1),
        ]
        var number = 0
        for (expansion, standard, repetitions, firstStride) in table {
            for repetition in 0..<repetitions {
                number += 1
                layers.invertedResidual(
                    "block\(number)", from: current, to: channels(standard), expansion: expansion,
                    stride: repetition == 0 ? firstStride : 1)
                current = channels(standard)
            }
        }
        let last = roundedToEights(numerator: 1_280 * max(width, 32), denominator: 32)
        layers.conv("head.conv", from: current, to: last, kernel: 1)
        layers.batchNormalization("head.norm", channels: last)
        layers.relu6("head.relu6")
        layers.globalAveragePool()
        layers.flatten()
        layers.gemm("fc", from: last, to: classes, isLast: true, spread: .normal(deviation: 0.01))
        return layers.graph(classes: classes)
    }

    /// The nearest multiple of 8, halves upward, at least 8, and never more than a tenth below the value itself: the
    /// reference code's `_make_divisible`, in integers.
    static func roundedToEights(numerator: Int, denominator: Int) -> Int {
        let nearest = max(8, (numerator + 4 * denominator) / (8 * denominator) * 8)
        return 10 * nearest * denominator < 9 * numerator ? nearest + 8 : nearest
    }

    private static func checkImage(
        _ name: String, _ input: [Int], _ width: Int, greatestWidth: Int
    ) throws(ModelError) {
        guard input.count == 3, input[0] <= 8_192 else {
            throw .invalidRequest("\(name) takes an input [C, H, W], not \(input)")
        }
        guard width <= greatestWidth else {
            throw .invalidRequest("\(name): width \(width) is impossible; give 1 to \(greatestWidth)")
        }
    }
}

extension LayerStack {
    /// Expands by 1x1, filters each channel by 3x3, projects by 1x1 without an activation, and adds the input where the
    /// shape stays the same.
    fileprivate mutating func invertedResidual(_ name: String, from: Int, to: Int, expansion: Int, stride: Int) {
        let entry = current
        let hidden = from * expansion
        if expansion != 1 {
            conv("\(name).expand.conv", from: from, to: hidden, kernel: 1)
            batchNormalization("\(name).expand.norm", channels: hidden)
            relu6("\(name).expand.relu6")
        }
        conv("\(name).depthwise.conv", from: hidden, to: hidden, stride: stride, groups: hidden)
        batchNormalization("\(name).depthwise.norm", channels: hidden)
        relu6("\(name).depthwise.relu6")
        conv("\(name).project.conv", from: hidden, to: to, kernel: 1)
        batchNormalization("\(name).project.norm", channels: to)
        if stride == 1, from == to { add("\(name).add", shortcut: entry) }
    }
}
