import Tensors
import Testing

@testable import UpdateCodec

/// Expected sizes are those of real containers, of other numbers than the estimate's own.
struct ExpectedSizeTests {
    private static let shapes = [40, 3_000, 90_000, 250_000]

    private static func real(_ scheme: WireScheme, masks: MaskSet = MaskSet(), exact: Set<String> = []) throws -> Int {
        let tensors = NamedTensors(
            shapes.enumerated().map { ("layer\($0)", Fixtures.tensor($1, seed: UInt64(90 + $0), scale: 0.02)) })
        var survey: UpdateSurvey?
        if scheme.budget != nil {
            var all = UpdateSurvey(layout: TensorLayout(tensors), masks: masks)
            for (_, tensor) in tensors.ordered { try all.add(tensor) }
            survey = all
        }
        var writer = try UpdateWriter(
            layout: TensorLayout(tensors), header: Fixtures.header(maskEpoch: masks.epoch), scheme: scheme,
            masks: masks,
            survey: survey, exact: exact)
        for (_, tensor) in tensors.ordered { _ = try writer.append(tensor, keeping: []) }
        return writer.finish().bytes.count
    }

    private static let schemes: [WireScheme] = [
        WireScheme(), WireScheme(values: .float32, smallValues: .float32), WireScheme(values: .float16),
        WireScheme(values: .int4), WireScheme(selection: .topK(density: 0.05), values: .int4),
        WireScheme(selection: .topK(density: 0.01), values: .int8), WireScheme(values: .sign, blockSize: 1024),
        WireScheme(selection: .topK(density: 0.1), values: .ternary, blockSize: 1024), WireScheme(budget: 30_000),
    ]

    @Test(arguments: schemes)
    func estimatesComeClose(scheme: WireScheme) throws {
        let parts = Self.shapes.map { ExpectedSize.Part(elements: $0) }
        let (expected, real) = (try ExpectedSize.bytes(of: parts, scheme: scheme), try Self.real(scheme))
        #expect(abs(Double(expected) / Double(real) - 1) < 0.15, "\(expected) instead of \(real) for \(scheme)")
    }

    @Test func deadElementsCostNothingAndExactOnesAreFloats() throws {
        let scheme = WireScheme(values: .int8)
        let alive = Fixtures.bitmap(250_000, density: 0.2, seed: 4)
        let masks = MaskSet(epoch: 1, bitmaps: ["layer3": alive])
        var parts = Self.shapes.map { ExpectedSize.Part(elements: $0) }
        parts[3].alive = alive.populationCount
        parts[1].isExact = true
        let expected = try ExpectedSize.bytes(of: parts, scheme: scheme)
        let real = try Self.real(scheme, masks: masks, exact: ["layer1"])
        #expect(abs(Double(expected) / Double(real) - 1) < 0.15, "\(expected) instead of \(real)")
    }

    @Test func aMaskCostsItsEntropy() throws {
        let before = [ExpectedSize.Part(elements: 80_000)]
        let half = ExpectedSize.bytes(ofMasksFrom: before, to: [ExpectedSize.Part(elements: 80_000, alive: 40_000)])
        // A bit for each, and some for headers.
        #expect((10_000..<10_200).contains(half), "\(half)")
        let none = ExpectedSize.bytes(ofMasksFrom: before, to: before)
        #expect(none < 200)
        let tenth = ExpectedSize.bytes(ofMasksFrom: before, to: [ExpectedSize.Part(elements: 80_000, alive: 8_000)])
        #expect((4_600..<4_900).contains(tenth), "0.469 bits each: \(tenth)")
    }

    @Test func anEmptyModelAndAnImpossibleSchemeDoNotTrap() throws {
        #expect(try ExpectedSize.bytes(of: [], scheme: WireScheme()) > 0)
        #expect(try ExpectedSize.bytes(of: [ExpectedSize.Part(elements: 10, alive: 0)], scheme: WireScheme()) > 0)
        #expect(throws: CodecError.self) {
            _ = try ExpectedSize.bytes(of: [ExpectedSize.Part(elements: 10)], scheme: WireScheme(blockSize: 0))
        }
    }
}
