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

    static let all = plain + fewBits + sparse + masked

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
        GoldenVector(
            name: "logits",
            tensors: NamedTensors([("logits", Tensor(Fixtures.bellShaped(48, seed: 40), shape: [12, 4]))]),
            header: Fixtures.header(.logits, maskEpoch: 2), scheme: small(.int8, block: 32), masks: MaskSet(epoch: 2)),
    ]

    private static func one(_ count: Int, seed: UInt64) -> NamedTensors {
        NamedTensors([("x", Fixtures.tensor(count, seed: seed))])
    }

    /// A vector of one tensor.
    private static func one(
        _ name: String, _ count: Int, _ values: ValueFormat, block: Int = 32, seed: UInt64,
        _ change: (inout WireScheme) -> Void = { _ in }
    ) -> GoldenVector {
        var scheme = small(values, block: block)
        change(&scheme)
        return GoldenVector(name: name, tensors: one(count, seed: seed), scheme: scheme, seed: 7)
    }

    private static let fewBits = [
        GoldenVector(name: "bfloat16", tensors: pair(20), scheme: small(.bfloat16)),
        one("int6", 45, .int6, seed: 21),
        one("int6-rice", 300, .int6, block: 300, seed: 22) { $0.coding = .smallest },
        one("int3", 45, .int3, seed: 23),
        one("int2", 45, .int2, seed: 24),
        one("int2-stochastic", 45, .int2, seed: 25) { $0.rounding = .stochastic },
        one("sign", 45, .sign, seed: 26),
        one("sign-stochastic", 45, .sign, seed: 27) { $0.rounding = .stochastic },
        one("codebook16", 45, .codebook16, seed: 28),
        one("codebook16-kmeans", 200, .codebook16, seed: 29) { $0.levels = .kMeans },
        one("codebook256", 45, .codebook256, seed: 30),
        one("codebook256-stochastic", 45, .codebook256, seed: 31) { $0.rounding = .stochastic },
        // Chunks of 64, 32 and 4.
        one("rotated-int4", 100, .int4, seed: 32) { $0.rotates = true },
        one("rotated-int2", 100, .int2, seed: 33) { $0.rotates = true },
        one("rotated-sign", 100, .sign, seed: 34) { $0.rotates = true },
        one("rotated-codebook16", 37, .codebook16, seed: 35) { $0.rotates = true },
        // A chunk of 4,096 and more; two segments of Rice codes.
        one("rotated-segments-int3", 4_107, .int3, block: 4_096, seed: 36) { $0.rotates = true },
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
        // Gaps go on from segment to segment.
        one("gaps-segments-ternary", 13_800, .ternary, block: 16_384, seed: 37) { $0.selection = .topK(density: 0.3) },
        one("floor-int8", 400, .int8, block: 64, seed: 38) {
            $0.selection = .topK(density: 0.1)
            $0.coding = .smallest
        },
        one("blocks-int4", 5_000, .int4, seed: 39) {
            $0.selection = .topK(density: 3 / 4_096, method: .block)
            $0.coding = .plain
        },
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
            name: "mask-aligned-bitmap-int3", tensors: three, header: Fixtures.header(maskEpoch: 3),
            scheme: topK(0.5, .int3), masks: alive),
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
