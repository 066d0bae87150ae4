// Weights into integers: schemes, their scales and levels, and which way each weight is rounded.
//
// `WeightQuantizer` gives each weight the nearest code. `Rounding` keeps its scales and levels and chooses codes by what a layer
// makes of its inputs (`InputMoments`). A weight that is exactly 0 is masked: it stays exactly 0 in all of them. Writing files is
// ModelGraph's part.
import ModelGraph
import Tensors

/// Turns float weights into integers.
public enum WeightQuantizer {
    /// int8, symmetric, one scale per channel: s = 2·absmax/(127 − (−127)), q = round(w/s) in [−127, 127]. Zeros stay
    /// zeros, so masked weights stay masked. A channel of zeros has scale 1.
    /// - Parameters:
    ///   - tensor: float32.
    ///   - axis: the channel axis. Precondition: the tensor has it.
    ///   - name: the tensor's, for errors.
    /// - Throws: `CompressionError.weightsNotFinite`.
    public static func perChannelInt8(
        _ tensor: Tensor, axis: Int, name: String
    ) throws(CompressionError) -> QuantizedWeight {
        try quantize(tensor, axis: axis, scheme: WeightScheme(), name: name)
    }

    /// The nearest codes of a scheme, ties to even. Weights of 0 stay exactly 0. Blocks lie along the inputs: the axis behind
    /// the channels' where channels come first, else the one before. Scales of a whole tensor are repeated for each channel.
    /// - Parameters:
    ///   - tensor: float32.
    ///   - axis: the axis of the output channels. Precondition: the tensor has it.
    ///   - name: the tensor's, for errors.
    ///   - importance: what an error of each weight counts, as E[x²] of its input; finite and not negative.
    ///     Precondition: of the tensor's shape.
    /// - Throws: `CompressionError.weightsNotFinite`; `.valueOutOfRange` for a scheme that is none, or blocks of a vector.
    public static func quantize(
        _ tensor: Tensor, axis: Int, scheme: WeightScheme, name: String, importance: Tensor? = nil
    ) throws(CompressionError) -> QuantizedWeight {
        try scheme.validate()
        precondition(tensor.shape.dimensions.indices.contains(axis), "axis \(axis) of shape \(tensor.shape)")
        precondition(importance.map { $0.shape == tensor.shape } ?? true, "importance of another shape")
        let weights = tensor.floats
        guard weights.allSatisfy(\.isFinite) else { throw .weightsNotFinite(tensor: name) }
        guard weights.count <= Int(Int32.max) else {
            throw .valueOutOfRange("'\(name)' has \(weights.count) weights: only 2^31 can be quantized")
        }
        var (layout, blocks) = (ScaleLayout(shape: tensor.shape, channelAxis: axis), QuantizedWeight.Blocks?.none)
        switch scheme.granularity {
        case .channel: break
        case .tensor: layout = ScaleLayout(whole: tensor.shape)
        case .block(let size):
            guard tensor.shape.rank >= 2 else {
                throw .valueOutOfRange("'\(name)' of shape \(tensor.shape) has no inputs to lay blocks along")
            }
            let found = Self.blocks(of: size, channelAxis: axis)
            (layout, blocks) = (ScaleLayout(shape: tensor.shape, blocks: found), found)
        }
        var runs = WeightRuns(weights, importance?.floats, layout)
        let quantized =
            scheme.levels == .uniform
            ? runs.uniform(UniformFit(scheme)) : runs.nonUniform(CodebookFit(scheme: scheme))
        func repeated<Value>(_ values: [Value]) -> [Value] {
            scheme.granularity == .tensor
                ? Array(repeating: values[0], count: tensor.shape[axis]) : values
        }
        return QuantizedWeight(
            values: Tensor(elements: quantized.codes, elementType: .int8, shape: tensor.shape),
            scales: repeated(quantized.scales), axis: axis, bits: scheme.bits,
            zeroPoints: quantized.zeroPoints.map(repeated), blocks: blocks, codebook: quantized.codebook)
    }

    /// Blocks along the inputs.
    static func blocks(of size: Int, channelAxis axis: Int) -> QuantizedWeight.Blocks {
        QuantizedWeight.Blocks(axis: axis == 0 ? 1 : axis - 1, size: size)
    }
}

/// A weight's elements, taken apart by their scales.
private struct WeightRuns {
    struct Codes {
        var codes: [Int8]
        var scales: [Float]
        var zeroPoints: [Int8]?
        var codebook: [Float]?
    }

    private let weights: [Float]
    private let importance: [Float]?
    private let order: [Int32]
    private let starts: [Int]

    init(_ weights: [Float], _ importance: [Float]?, _ layout: ScaleLayout) {
        (self.weights, self.importance) = (weights, importance)
        (order, starts) = layout.members(of: weights.count)
    }

    private var count: Int { starts.count - 1 }

    private func members(_ run: Int) -> ArraySlice<Int32> { order[starts[run]..<starts[run + 1]] }

    private func values(_ run: Int, of all: [Float]) -> [Float] { members(run).map { all[Int($0)] } }

    mutating func uniform(_ fit: UniformFit) -> Codes {
        var codes = [Int8](repeating: 0, count: weights.count)
        var scales: [Float] = []
        var zeroPoints: [Int8] = []
        for run in 0..<count {
            let grid = fit.grid(values(run, of: weights), importance: importance.map { values(run, of: $0) })
            scales.append(grid.scale)
            zeroPoints.append(Int8(grid.zeroPoint))
            for member in members(run) {
                // Steps and zero point together are within the codes.
                codes[Int(member)] = Int8(Int(fit.steps(weights[Int(member)], grid)) + grid.zeroPoint)
            }
        }
        return Codes(codes: codes, scales: scales, zeroPoints: fit.isSymmetric ? nil : zeroPoints, codebook: nil)
    }

    mutating func nonUniform(_ fit: CodebookFit) -> Codes {
        let all = (0..<count).map { values($0, of: weights) }
        let (set, scales) = fit.fit(
            all, importance: importance.map { every in (0..<count).map { values($0, of: every) } })
        var codes = [Int8](repeating: 0, count: weights.count)
        for run in 0..<count {
            for member in members(run) {
                let level = set.nearest(weights[Int(member)] / scales[run])
                codes[Int(member)] = Int8(bitPattern: UInt8(level))
            }
        }
        return Codes(codes: codes, scales: scales, zeroPoints: nil, codebook: set.levels)
    }
}
