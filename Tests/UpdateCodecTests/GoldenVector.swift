import Tensors
import Testing

@testable import UpdateCodec

/// One reference container: how it is made, from exact arithmetic only. The files in protocols/vectors are its bytes.
struct GoldenVector: Sendable, CustomTestStringConvertible {
    var name: String
    var tensors: NamedTensors
    var header = Fixtures.header()
    var scheme: WireScheme
    var masks = MaskSet()
    var newMasks: MaskSet?
    var seed: UInt64 = 0

    var testDescription: String { name }

    func encoded() throws -> EncodedUpdate {
        try UpdateEncoder.encode(tensors, header: header, scheme: scheme, masks: masks, newMasks: newMasks, seed: seed)
    }

    static let all = plain + sparse + masked

    private static func small(_ values: ValueFormat, block: Int = 256, rounding: Rounding = .nearest) -> WireScheme {
        WireScheme(values: values, blockSize: block, rounding: rounding, smallTensorElements: 0)
    }

    private static func pair(_ seed: UInt64, scale: Float = 1) -> NamedTensors {
        NamedTensors([
            ("weight", Tensor(Fixtures.bellShaped(21, seed: seed, scale: scale), shape: [3, 7])),
            ("zero", Tensor(zeros: [4])), ("bias", Fixtures.tensor(5, seed: seed + 1, scale: scale)),
        ])
    }

    /// Values chosen by hand, so that the bytes can be followed on paper.
    private static let tiny = NamedTensors([("x", Fixtures.tensor([1, -0.5, 0.25, 0]))])

    private static let plain = [
        GoldenVector(name: "tiny-int8", tensors: tiny, scheme: small(.int8, block: 2)),
        GoldenVector(name: "float32", tensors: pair(1), scheme: small(.float32)),
        GoldenVector(name: "float16", tensors: pair(2, scale: 1e-7), scheme: small(.float16)),
        GoldenVector(name: "int8", tensors: pair(3), scheme: small(.int8, block: 8)),
        GoldenVector(
            name: "int8-stochastic", tensors: pair(4), scheme: small(.int8, rounding: .stochastic), seed: 99),
        GoldenVector(name: "int4", tensors: pair(5), scheme: small(.int4, block: 4)),
        GoldenVector(
            name: "int4-rice",
            tensors: NamedTensors([("x", Fixtures.tensor(Fixtures.bellShaped(60, seed: 6) + [-9]))]),
            scheme: small(.int4)),
        GoldenVector(name: "nothing", tensors: NamedTensors([("zero", Tensor(zeros: [3]))]), scheme: small(.int8)),
        GoldenVector(
            name: "lz4", tensors: NamedTensors([("x", Fixtures.tensor((0..<64).map { Float($0 % 2) + 1 }))]),
            header: Fixtures.header(.scores), scheme: small(.float32)),
    ]

    private static func topK(_ density: Double, _ values: ValueFormat) -> WireScheme {
        WireScheme(selection: .topK(density: density), values: values, blockSize: 16, smallTensorElements: 8)
    }

    private static let sparse = [
        GoldenVector(name: "bitmap-int8", tensors: pair(7), scheme: topK(0.5, .int8)),
        GoldenVector(
            name: "gaps-ternary",
            tensors: NamedTensors([("x", Fixtures.tensor(400, seed: 8)), ("y", Fixtures.tensor([1, -0.5, 0.25]))]),
            scheme: topK(0.03, .ternary)),
        GoldenVector(
            name: "left-out-ternary", tensors: NamedTensors([("x", Fixtures.tensor(160, seed: 9))]),
            scheme: topK(0.95, .ternary)),
    ]

    private static let alive = MaskSet(
        epoch: 3,
        bitmaps: ["x": Fixtures.bitmap(90, density: 0.5, seed: 10), "y": Fixtures.bitmap(40, density: 0.3, seed: 11)])

    /// Half of x's alive weights die; y loses its mask; z gets its first.
    private static let pruned: MaskSet = {
        var masks = MaskSet(epoch: 4, bitmaps: ["z": Fixtures.bitmap(200, density: 0.04, seed: 13)])
        var x = alive["x"] ?? Bitmap(repeating: false, count: 90)
        for index in stride(from: 0, to: 90, by: 2) { x[index] = false }
        masks.bitmaps["x"] = x
        return masks
    }()

    /// y's weights change places, so its mask is coded in full; z loses a few.
    private static let regrown: MaskSet = {
        var masks = alive
        masks.epoch = 5
        masks.bitmaps["y"] = Fixtures.bitmap(40, density: 0.3, seed: 12)
        masks.bitmaps["z"] = Fixtures.bitmap(200, density: 0.97, seed: 17)
        return masks
    }()

    /// Whole stretches live or die, as when channels are pruned.
    private static let striped: MaskSet = {
        var bitmap = Bitmap(repeating: false, count: 480)
        for index in 0..<480 where index / 80 % 2 == 0 { bitmap[index] = true }
        return MaskSet(epoch: 1, bitmaps: ["x": bitmap])
    }()

    private static let three = NamedTensors([
        ("x", Tensor(Fixtures.bellShaped(90, seed: 14), shape: [9, 10])), ("y", Fixtures.tensor(40, seed: 15)),
        ("z", Fixtures.tensor(200, seed: 16)),
    ])

    private static let masked = [
        GoldenVector(
            name: "mask-aligned-int8", tensors: three, header: Fixtures.header(maskEpoch: 3), scheme: small(.int8),
            masks: alive),
        GoldenVector(
            name: "mask-aligned-gaps-int4", tensors: three, header: Fixtures.header(maskEpoch: 3),
            scheme: topK(0.1, .int4), masks: alive),
        GoldenVector(
            name: "mask-change", tensors: three, header: Fixtures.header(.delta, maskEpoch: 4), scheme: small(.int8),
            masks: alive, newMasks: pruned),
        GoldenVector(
            name: "mask-regrown",
            tensors: NamedTensors(three.ordered.map { ($0.name, Tensor(zeros: $0.tensor.shape)) }),
            header: Fixtures.header(.delta, maskEpoch: 5), scheme: small(.int8), masks: alive, newMasks: regrown),
        GoldenVector(
            name: "mask-striped", tensors: NamedTensors([("x", Tensor(zeros: [6, 80]))]),
            header: Fixtures.header(.delta, maskEpoch: 1), scheme: small(.int8), newMasks: striped),
    ]
}
