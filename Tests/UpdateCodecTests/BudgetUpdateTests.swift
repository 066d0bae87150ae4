import Tensors
import Testing

@testable import UpdateCodec

/// Budgets against the encoder itself: the bytes hold, and they are well spent.
struct BudgetUpdateTests {
    /// Layers of different sizes, magnitudes and shapes of distribution, one of them empty and one all zero.
    private static func model(seed: UInt64) -> NamedTensors {
        var sparse = Fixtures.bellShaped(9_000, seed: seed + 3, scale: 0.4)
        for index in sparse.indices where index % 11 != 0 { sparse[index] = 0 }
        let heavy = Fixtures.bellShaped(20_000, seed: seed + 4).map { $0 * $0 * $0 * 0.02 }
        return NamedTensors([
            ("stem", Fixtures.tensor(432, seed: seed, scale: 0.3)),
            ("wide", Fixtures.tensor(40_000, seed: seed + 1, scale: 0.01)),
            ("bias", Fixtures.tensor(64, seed: seed + 2, scale: 0.05)), ("sparse", Fixtures.tensor(sparse)),
            ("heavy", Fixtures.tensor(heavy)), ("zeros", Tensor(zeros: [7, 7])), ("empty", Tensor(zeros: [0])),
            ("tail", Fixtures.tensor(1_030, seed: seed + 5, scale: 1e-7)),
        ])
    }

    private static func encode(
        _ model: NamedTensors, _ scheme: WireScheme, masks: MaskSet = MaskSet()
    ) throws -> EncodedUpdate {
        try UpdateEncoder.encode(
            model, header: Fixtures.header(maskEpoch: masks.epoch), scheme: scheme, masks: masks, seed: 5)
    }

    private static func error(_ update: EncodedUpdate) -> Double {
        update.residual.ordered.reduce(0) { $0 + $1.tensor.floats.reduce(0) { $0 + Double($1) * Double($1) } }
    }

    @Test(arguments: [80, 100, 150, 400, 1_000, 5_000, 20_000, 60_000, 150_000, 290_000, 1_000_000])
    func noContainerIsAboveItsBudget(_ budget: Int) throws {
        for (number, scheme) in [
            WireScheme(budget: budget), WireScheme(coding: .plain, budget: budget),
            WireScheme(rotates: true, budget: budget), WireScheme(rounding: .stochastic, budget: budget),
            WireScheme(blockSize: 64, budget: budget), WireScheme(scaling: .largest, budget: budget),
        ].enumerated() {
            let model = Self.model(seed: UInt64(number * 10))
            let update = try Self.encode(model, scheme)
            #expect(update.bytes.count <= budget)
            let decoded = try UpdateReader(update.bytes, layout: TensorLayout(model)).decode()
            #expect(Fixtures.bitPatterns(decoded) == Fixtures.bitPatterns(update.decoded))
            // What nobody sends is owed in full.
            for (name, tensor) in model.ordered where Fixtures.floats(update.decoded, name).allSatisfy({ $0 == 0 }) {
                #expect(Fixtures.floats(update.residual, name) == tensor.floats)
            }
        }
    }

    @Test func masksCountIntoTheBudget() throws {
        let model = Self.model(seed: 3)
        let masks = MaskSet(epoch: 2, bitmaps: ["wide": Fixtures.bitmap(40_000, density: 0.2, seed: 8)])
        for budget in [300, 3_000, 9_000] {
            let update = try UpdateEncoder.encode(
                model, header: Fixtures.header(.delta, maskEpoch: 3), scheme: WireScheme(budget: budget), masks: masks,
                newMasks: MaskSet(epoch: 3, bitmaps: masks.bitmaps))
            #expect(update.bytes.count <= budget)
        }
        // A mask for each of 40,000 weights costs 3.6 kB alone.
        #expect(throws: CodecError.self) {
            try UpdateEncoder.encode(
                model, header: Fixtures.header(.delta, maskEpoch: 3), scheme: WireScheme(budget: 1_000),
                newMasks: MaskSet(epoch: 3, bitmaps: masks.bitmaps))
        }
    }

    @Test func tooSmallABudgetIsRefusedByName() throws {
        let model = Self.model(seed: 3)
        let error = try #require(throws: CodecError.self) { try Self.encode(model, WireScheme(budget: 50)) }
        #expect("\(error)".hasPrefix("a budget of 50 bytes is too small: 5"))
        #expect(throws: CodecError.self) {
            try UpdateWriter(layout: TensorLayout(model), header: Fixtures.header(), scheme: WireScheme(budget: 5_000))
        }
    }

    /// At the bytes of any uniform scheme the budget's error is no larger: real bytes, real errors.
    @Test func aBudgetIsSpentBetterThanUniformly() throws {
        let model = Self.model(seed: 1)
        var gains: [Double] = []
        for format in [ValueFormat.int8, .int4, .ternary] {
            for density in [0.01, 0.05, 0.2, 1] {
                let uniform = try Self.encode(
                    model,
                    WireScheme(
                        selection: density == 1 ? .dense : .topK(density: density), values: format,
                        smallTensorElements: 0, smallValues: .float16))
                let planned = try Self.encode(model, WireScheme(budget: uniform.bytes.count))
                #expect(planned.bytes.count <= uniform.bytes.count)
                // Rice-coded values are smaller than any bound, so uniform int8 and int4 may have had a little more.
                #expect(Self.error(planned) <= 1.1 * Self.error(uniform), "\(format) \(density)")
                gains.append(Self.error(uniform) / Self.error(planned))
            }
        }
        #expect(gains.sorted()[gains.count / 2] > 2)
    }

    @Test func moreBytesLoseLess() throws {
        let model = Self.model(seed: 2)
        var last = Double.infinity
        for budget in [200, 1_000, 4_000, 16_000, 64_000, 256_000] {
            let error = Self.error(try Self.encode(model, WireScheme(budget: budget)))
            #expect(error < last)
            last = error
        }
        // float32 at last.
        #expect(Self.error(try Self.encode(model, WireScheme(budget: 400_000))) == 0)
    }

    @Test func badInputIsRefusedByName() throws {
        var model = Self.model(seed: 2)
        model["tail"] = Fixtures.tensor([Float](repeating: 1, count: 1_029) + [.nan])
        #expect(throws: CodecError.notFinite(tensor: "tail")) { try Self.encode(model, WireScheme(budget: 5_000)) }
    }
}
