import CTorch
import Tensors
import Testing

@testable import Engine

/// Our kernels for tensors whose channels lie together, against slow references in double precision.
@Suite struct ChannelsLastTests {
    init() { EngineRuntime.setThreads(1) }

    /// Shapes with odd channel counts, one pixel, and more rows than a chunk of the kernel.
    static let shapes: [[Int]] = [
        [2, 3, 1, 1], [1, 2, 3, 3], [3, 16, 2, 5], [2, 17, 4, 3], [4, 40, 7, 2], [3, 5, 40, 41],
    ]

    struct Sample {
        let x: [Float]
        let scale: [Float]
        let bias: [Float]
        let weights: [Float]

        init(_ dims: [Int], seed: UInt64) {
            var random = SeededGenerator(seed: seed)
            let count = dims.reduce(1, *)
            let plane = dims[2] * dims[3]
            // Channels far from zero show lost digits.
            x = (0..<count).map { Float($0 / plane % dims[1]) * 3 - 2 + random.uniform() }
            scale = (0..<dims[1]).map { _ in random.uniform() + 0.5 }
            bias = (0..<dims[1]).map { _ in random.uniform() }
            weights = (0..<count).map { _ in random.uniform() - 0.5 }
        }
    }

    /// The sample in channels-last memory: a convolution by the identity brings it there.
    static func channelsLast(_ values: [Float], _ dims: [Int]) throws -> TorchTensor {
        let channels = dims[1]
        let identity = (0..<channels * channels).map { Float($0 / channels == $0 % channels ? 1 : 0) }
        let weight = try TorchTensor(Tensor(identity, shape: try Shape([channels, channels, 1, 1])))
        let input = try TorchTensor(Tensor(values, shape: try Shape(dims)))
        return try TorchTensor(
            ct_convolution(input.handle, weight.handle, nil, [1, 1], [0, 0, 0, 0], [1, 1], 2, 1, true))
    }

    static func leaf(_ tensor: TorchTensor) throws -> TorchTensor { try TorchTensor(ct_leaf(tensor.handle)) }

    static func gradient(_ leaf: TorchTensor) throws -> [Float] {
        try TorchTensor(ct_gradient(leaf.handle)).tensor().floats
    }

    struct Normalized: Equatable {
        var out: [Float] = []
        var mean: [Float] = []
        var variance: [Float] = []
        var inputGradient: [Float] = []
        var scaleGradient: [Float] = []
        var biasGradient: [Float] = []
    }

    static func normalize(_ sample: Sample, _ dims: [Int]) throws -> Normalized {
        let channels = try Shape([dims[1]])
        let x = try leaf(channelsLast(sample.x, dims))
        let scale = try leaf(TorchTensor(Tensor(sample.scale, shape: channels)))
        let bias = try leaf(TorchTensor(Tensor(sample.bias, shape: channels)))
        let mean = try TorchTensor(Tensor(zeros: channels))
        let variance = try TorchTensor(Tensor([Float](repeating: 1, count: dims[1]), shape: channels))
        let before = ct_set_gradients(true)
        defer { _ = ct_set_gradients(before) }
        let out = try TorchTensor(
            ct_batch_norm(
                x.handle, scale.handle, bias.handle, mean.handle, variance.handle, true, 0.25, 1e-3))
        let weights = try TorchTensor(Tensor(sample.weights, shape: try Shape(dims)))
        let product = try TorchTensor(ct_mul(out.handle, weights.handle))
        let loss = try TorchTensor(ct_mean(product.handle, nil, 0, false))
        try CTorchStatus.check(ct_backward(loss.handle))
        func floats(_ tensor: TorchTensor) throws -> [Float] { try tensor.tensor().floats }
        return Normalized(
            out: try floats(out), mean: try floats(mean), variance: try floats(variance),
            inputGradient: try gradient(x), scaleGradient: try gradient(scale), biasGradient: try gradient(bias))
    }

    /// Ioffe & Szegedy 2015, section 3, in doubles.
    static func reference(_ sample: Sample, _ dims: [Int]) -> Normalized {
        let plane = dims[2] * dims[3]
        let count = dims[0] * plane
        let total = Double(count * dims[1])
        var result = Normalized(out: sample.x, inputGradient: sample.x)
        for channel in 0..<dims[1] {
            let places = (0..<dims[0]).flatMap { n in (0..<plane).map { (n * dims[1] + channel) * plane + $0 } }
            let values = places.map { Double(sample.x[$0]) }
            let slopes = places.map { Double(sample.weights[$0]) / total }
            let mean = values.reduce(0, +) / Double(count)
            let variance = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(count)
            let inverse = 1 / (variance + 1e-3).squareRoot()
            let normal = values.map { ($0 - mean) * inverse }
            let scale = Double(sample.scale[channel])
            let slopeSum = slopes.reduce(0, +)
            let normalSum = zip(slopes, normal).reduce(0) { $0 + $1.0 * $1.1 }
            result.mean.append(Float(0.25 * mean))
            result.variance.append(Float(0.75 + 0.25 * variance * Double(count) / Double(count - 1)))
            result.scaleGradient.append(Float(normalSum))
            result.biasGradient.append(Float(slopeSum))
            for (index, place) in places.enumerated() {
                result.out[place] = Float(normal[index] * scale + Double(sample.bias[channel]))
                let centered = slopes[index] - slopeSum / Double(count) - normal[index] * normalSum / Double(count)
                result.inputGradient[place] = Float(scale * inverse * centered)
            }
        }
        return result
    }

    @Test(arguments: shapes) func batchNormalizationAgreesWithTheReference(dims: [Int]) throws {
        for seed in 1...3 {
            let sample = Sample(dims, seed: UInt64(seed))
            let found = try Self.normalize(sample, dims)
            let expected = Self.reference(sample, dims)
            let pairs: [(String, [Float], [Float])] = [
                ("out", found.out, expected.out), ("mean", found.mean, expected.mean),
                ("variance", found.variance, expected.variance),
                ("input", found.inputGradient, expected.inputGradient),
                ("scale", found.scaleGradient, expected.scaleGradient),
                ("bias", found.biasGradient, expected.biasGradient),
            ]
            for (what, values, reference) in pairs {
                let largest = reference.map(abs).max() ?? 0
                let error = zip(values, reference).map { abs($0 - $1) }.max() ?? .infinity
                #expect(values.count == reference.count && error <= 2e-5 * largest + 1e-9, "\(what): \(error)")
            }
        }
    }

    @Test func sumsDoNotDependOnTheNumberOfThreads() throws {
        let dims = [3, 5, 40, 41]
        let sample = Sample(dims, seed: 9)
        let alone = try Self.normalize(sample, dims)
        EngineRuntime.setThreads(2)
        #expect(try Self.normalize(sample, dims) == alone)
    }

    @Test(arguments: [[2, 3, 4, 4], [1, 19, 5, 7], [3, 2, 2, 9]])
    func poolingByHalvesPicksTheSameWinners(dims: [Int]) throws {
        // Few distinct values make many equal ones: the first must win in either layout.
        var random = SeededGenerator(seed: 5)
        let values = (0..<dims.reduce(1, *)).map { _ in Float(random.index(below: 3)) }
        func pool(_ input: TorchTensor) throws -> ([Float], [Float]) {
            let x = try Self.leaf(input)
            let before = ct_set_gradients(true)
            defer { _ = ct_set_gradients(before) }
            let out = try TorchTensor(ct_max_pool(x.handle, [2, 2], [2, 2], [0, 0, 0, 0], [1, 1], 2, false))
            let square = try TorchTensor(ct_mul(out.handle, out.handle))
            let loss = try TorchTensor(ct_mean(square.handle, nil, 0, false))
            try CTorchStatus.check(ct_backward(loss.handle))
            return (try out.tensor().floats, try Self.gradient(x))
        }
        let plain = try pool(TorchTensor(Tensor(values, shape: try Shape(dims))))
        let last = try pool(Self.channelsLast(values, dims))
        #expect(plain.0 == last.0 && plain.1 == last.1)
    }
}
