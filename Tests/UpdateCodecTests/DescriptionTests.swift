import Foundation
import Tensors
import Testing

@testable import UpdateCodec

struct DescriptionTests {
    @Test func explainsRecordsAndBytes() throws {
        let model = Fixtures.model(seed: 1)
        let scheme = WireScheme(selection: .topK(density: 0.01), values: .ternary, smallTensorElements: 100)
        let update = try UpdateEncoder.encode(
            model, header: Fixtures.header(.delta, maskEpoch: 4), scheme: scheme, masks: Fixtures.masks(epoch: 4))
        let description = try UpdateDescription(describing: update.bytes)
        #expect(description.kind == "delta")
        #expect(description.base.hasPrefix("000102030405060708090a0b"))
        #expect(description.maskEpoch == 4)
        #expect(description.bytes == update.bytes.count)
        #expect(description.modelTensors == 6)
        #expect(description.modelElements == model.elementCount)
        #expect(description.bitsPerWeight == update.bitsPerWeight)
        // `zeros` and `empty` have nothing to send.
        #expect(description.tensors.map(\.index) == [0, 1, 3, 5])
        let matrix = try #require(description.tensors.first)
        let alive = Fixtures.masks(epoch: 4)["matrix"]?.populationCount
        #expect(matrix.elements == 2_135 && matrix.alive == alive)
        #expect(matrix.kept == Int((Double(matrix.alive) * 0.01).rounded()))
        #expect(matrix.values == "ternary" && matrix.positions == "gaps" && matrix.blockSize == 256)
        #expect(description.tensors[1].values == "f16" && description.tensors[1].blockSize == nil)
        let kept = description.tensors.reduce(0) { $0 + $1.kept }
        #expect(update.density == Double(kept) / Double(model.elementCount))
        let copy = try JSONDecoder().decode(UpdateDescription.self, from: JSONEncoder().encode(description))
        #expect(copy == description)
        #expect(description.table.split(separator: "\n").count == 2 + 1 + 4)
        #expect(description.table.contains("ternary"))
    }

    @Test func benchmarksMeasureWhatTheySay() throws {
        let rows = try CodecBenchmark.run(elements: 5_000, seed: 1)
        #expect(Set(rows.map { $0.scheme + $0.distribution }).count == rows.count)
        for row in rows {
            #expect(row.encodeMegabytesPerSecond > 0 && row.decodeMegabytesPerSecond > 0)
            #expect(abs(row.ratio * row.bitsPerWeight - 32) < 1e-9)
            // Headers and scales weigh much at this size, but never make a container beat its entropy.
            #expect(row.ratio < row.entropyRatio * 1.001)
            #expect(row.relativeSquaredError < 1)
            #expect(row.foldMegabytesPerSecond > 0 && row.memoryReadMegabytesPerSecond > 0)
        }
        #expect(rows.first?.relativeSquaredError == 0)
        let fold = try FoldBenchmark.run(elements: 1_000, contributions: 3, seed: 1)
        #expect(fold.contributions == 3 && fold.parameters == 1_000 && fold.millionParametersPerSecond > 0)
        #expect(throws: CodecError.self) { try CodecBenchmark.run(elements: -1, seed: 1) }
    }
}
