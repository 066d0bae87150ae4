import Foundation
import Tensors
import Testing

@testable import UpdateCodec

/// Sizes against Shannon's bound: a position drawn with probability p costs H(p) bits.
struct SizeTests {
    private static let count = 200_000

    private func entropy(_ p: Double) -> Double { -p * log2(p) - (1 - p) * log2(1 - p) }

    private func encode(_ density: Double, _ values: ValueFormat) throws -> UpdateDescription {
        let tensors = NamedTensors([("x", Fixtures.tensor(Self.count, seed: 21))])
        let scheme = WireScheme(
            selection: .topK(density: density), values: values, blockSize: 1 << 20, smallTensorElements: 0)
        let update = try UpdateEncoder.encode(tensors, header: Fixtures.header(), scheme: scheme)
        return try UpdateDescription(describing: update.bytes)
    }

    @Test(arguments: [0.001, 0.01, 0.1, 0.8, 0.95]) func positionsCostTheirEntropy(_ density: Double) throws {
        let record = try #require(try encode(density, .ternary).tensors.first)
        #expect(record.positions == (density < 0.5 ? "gaps" : "gaps-of-left-out"))
        let bound = (Double(Self.count) * entropy(density) + Double(record.kept)) / 8
        #expect(Double(record.bytes) <= 1.02 * bound + 16)
    }

    @Test func aBitmapWinsNearOneHalf() throws {
        let record = try #require(try encode(0.5, .ternary).tensors.first)
        #expect(record.positions == "bitmap")
        #expect(record.bytes <= Self.count / 8 + Self.count / 16 + 24)
    }

    @Test func ricePaysForPeakedInt4() throws {
        let record = try #require(try encode(1, .int4).tensors.first)
        #expect(record.positions == "dense")
        #expect(record.coding == "rice")
        #expect(record.bytes < Self.count * 4 / 8)
    }

    @Test func masksMakePositionsFree() throws {
        let tensors = NamedTensors([("x", Fixtures.tensor(Self.count, seed: 21))])
        let masks = MaskSet(epoch: 1, bitmaps: ["x": Fixtures.bitmap(Self.count, density: 0.1, seed: 3)])
        let scheme = WireScheme(values: .int8, smallTensorElements: 0)
        let update = try UpdateEncoder.encode(
            tensors, header: Fixtures.header(maskEpoch: 1), scheme: scheme, masks: masks)
        let record = try #require(try UpdateDescription(describing: update.bytes).tensors.first)
        #expect(record.positions == "dense")
        #expect(record.bytes <= record.kept + 2 * (record.kept / 256 + 1) + 16)
    }

    @Test func sparseInputOfADenseSchemeIsSentSparse() throws {
        var values = [Float](repeating: 0, count: 10_000)
        for index in stride(from: 0, to: values.count, by: 97) { values[index] = 1 + Float(index) }
        let update = try UpdateEncoder.encode(
            NamedTensors([("x", Fixtures.tensor(values))]), header: Fixtures.header(),
            scheme: WireScheme(values: .float32, smallTensorElements: 0))
        #expect(Fixtures.floats(update.decoded, "x") == values)
        #expect(update.bytes.count < 104 * 5 + 100)
    }

    @Test func lz4PacksWhatRepeats() throws {
        let values = (0..<4_000).map { Float($0 % 4) + 1 }
        let update = try UpdateEncoder.encode(
            NamedTensors([("x", Fixtures.tensor(values))]), header: Fixtures.header(),
            scheme: WireScheme(values: .float32, smallTensorElements: 0))
        let description = try UpdateDescription(describing: update.bytes)
        #expect(description.packing == "lz4")
        #expect(update.bytes.count < 400)
        #expect(Fixtures.floats(update.decoded, "x") == values)
    }
}
