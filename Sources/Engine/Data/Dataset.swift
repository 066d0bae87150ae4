import Tensors

/// Labelled samples in memory, kept in their stored type and converted to float32 batch by batch.
public struct Dataset: Sendable {
    /// Samples in this set (this shard, this split).
    public let count: Int
    /// One sample's shape, without the batch axis.
    public let sampleShape: Shape
    /// One more than the largest label of the whole set, before sharding.
    public let classCount: Int
    /// One label per sample, from 0.
    public let labels: [Int64]
    /// For people: the SPEC, sample count, shape and classes.
    public var description: String {
        "\(spec): \(count) samples of \(sampleShape), \(classCount) classes"
    }

    let spec: DataSpec
    private let inputs: Tensor
    private let normalization: SampleNormalization

    /// Precondition: `inputs` is `[labels.count] + sampleShape` in uint8, float16, bfloat16 or float32.
    init(spec: DataSpec, inputs: Tensor, labels: [Int64], classCount: Int, normalization: SampleNormalization) {
        precondition(
            inputs.shape.rank >= 1 && inputs.shape[0] == labels.count, "\(inputs.shape), \(labels.count) labels")
        guard let sampleShape = try? Shape(Array(inputs.shape.dimensions.dropFirst())) else {
            preconditionFailure("sample shape of \(inputs.shape)")
        }
        self.spec = spec
        self.inputs = inputs
        self.labels = labels
        self.classCount = classCount
        self.normalization = normalization
        self.sampleShape = sampleShape
        count = labels.count
    }

    /// The samples at `indices`, in that order: float32 inputs `[n] + sampleShape` (scaled and normalised) and int64
    /// labels `[n]`. Precondition: every index is in `0..<count`.
    public func batch(_ indices: some Collection<Int>) -> (inputs: Tensor, labels: Tensor) {
        let rows = Array(indices)
        guard let shape = try? Shape([rows.count] + sampleShape.dimensions), let labelShape = try? Shape([rows.count])
        else {
            preconditionFailure("batch of \(rows.count) samples of \(sampleShape)")
        }
        var batch = Tensor(zeros: shape)
        batch.withMutableElements(as: Float.self) { target in
            switch inputs.elementType {
            case .uint8: copy(rows, as: UInt8.self, into: target) { Float($0) }
            case .float32: copy(rows, as: Float.self, into: target) { $0 }
            case .float16: copy(rows, as: UInt16.self, into: target) { HalfPrecision.float(fromFloat16: $0) }
            case .bfloat16: copy(rows, as: UInt16.self, into: target) { HalfPrecision.float(fromBfloat16: $0) }
            default: preconditionFailure("samples of \(inputs.elementType)")
            }
        }
        return (batch, Tensor(rows.map { labels[$0] }, shape: labelShape))
    }

    /// Checks the data against what a model declares.
    /// - Parameters:
    ///   - inputDimensions: the model's input without the batch axis; nil stands for any extent.
    ///   - classes: how many outputs the model has, when known.
    /// - Throws: `DataError.shapeMismatch`, `.labelOutOfRange` with the first such sample.
    public func checkFits(inputDimensions: [Int?], classes: Int?) throws(DataError) {
        let fits =
            inputDimensions.count == sampleShape.rank
            && zip(inputDimensions, sampleShape.dimensions).allSatisfy { $0 == nil || $0 == $1 }
        guard fits else {
            let model = "[" + inputDimensions.map { $0.map(String.init) ?? "?" }.joined(separator: ", ") + "]"
            throw .shapeMismatch(spec: spec.description, sample: sampleShape, model: model)
        }
        if let classes, let sample = labels.firstIndex(where: { $0 >= Int64(classes) }) {
            throw .labelOutOfRange(
                spec: spec.description, sample: sample, label: labels[sample], classCount: classes)
        }
    }

    /// How many samples each class has.
    public func classHistogram() -> [Int] {
        var histogram = [Int](repeating: 0, count: classCount)
        for label in labels { histogram[Int(label)] += 1 }
        return histogram
    }

    /// 0..<count in an order that depends on the seed alone (Fisher-Yates).
    public static func shuffledOrder(count: Int, seed: UInt64) -> [Int] {
        var generator = SeededGenerator(seed: seed, labels: "order")
        return (0..<count).shuffled(using: &generator)
    }

    /// Converts rows channel by channel, so that the inner loop has constant scale, mean and std and is vectorised.
    @inline(__always)
    private func copy<Element: BitwiseCopyable>(
        _ rows: [Int], as type: Element.Type, into target: UnsafeMutableBufferPointer<Float>,
        _ convert: (Element) -> Float
    ) {
        let size = sampleShape.elementCount
        guard size > 0, var output = target.baseAddress else { return }
        let scale = normalization.scale
        let inner = size / normalization.channels.count
        inputs.withElements(as: type) { source in
            for row in rows {
                precondition(row >= 0 && row < count, "sample \(row) of \(count)")
                guard var input = source.baseAddress.map({ $0 + row * size }) else { return }
                for channel in normalization.channels {
                    for index in 0..<inner {
                        output[index] = (convert(input[index]) / scale - channel.mean) / channel.std
                    }
                    input += inner
                    output += inner
                }
            }
        }
    }
}

/// (value / scale - mean) / std, with mean and std per channel, the first axis of a sample, or one for all.
struct SampleNormalization: Sendable {
    let scale: Float
    let channels: [(mean: Float, std: Float)]

    init(spec: DataSpec, elementType: ElementType, sampleShape: Shape) throws(DataError) {
        scale = Float(spec.scale ?? (elementType == .uint8 ? 255 : 1))
        let count = max(spec.mean?.count ?? 1, spec.std?.count ?? 1)
        let channelCount = sampleShape.rank > 0 ? sampleShape[0] : 1
        for (option, values) in [("mean", spec.mean), ("std", spec.std)] {
            guard let values, values.count != 1, values.count != channelCount else { continue }
            throw .invalidOption(
                spec: spec.description, option: option, value: values.map(DataSpec.number).joined(separator: ","),
                needed: "1 or \(channelCount) numbers: samples have shape \(sampleShape)")
        }
        channels = (0..<count).map { channel in
            let mean = spec.mean.map { $0[$0.count == 1 ? 0 : channel] } ?? 0
            let std = spec.std.map { $0[$0.count == 1 ? 0 : channel] } ?? 1
            return (Float(mean), Float(std))
        }
    }
}
