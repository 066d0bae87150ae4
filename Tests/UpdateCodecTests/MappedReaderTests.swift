import Foundation
import Tensors
import Testing

@testable import UpdateCodec

/// A container read from a mapped file is what it is when read from memory: values, figures, refusals.
struct MappedReaderTests {
    private static func mapping(_ bytes: [UInt8]) throws -> MappedFile {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("mapped-\(UUID().uuidString)").path
        defer { unlink(path) }
        try Data(bytes).write(to: URL(fileURLWithPath: path))
        return try MappedFile(path: path)
    }

    private static func outcome(_ read: () throws -> UpdateReader) -> (error: String?, mean: [[UInt32]], norm: Double) {
        do {
            let reader = try read()
            var fold = FoldAccumulator(layout: reader.layout)
            try fold.add(reader, weight: 3)
            #expect(Fixtures.bitPatterns(try reader.decode()) == Fixtures.bitPatterns(try reader.decode()))
            return (nil, Fixtures.bitPatterns(fold.mean()), reader.squaredNorm())
        } catch {
            return ("\(error)", [], 0)
        }
    }

    private static func compare(_ bytes: [UInt8], _ layout: TensorLayout, _ masks: MaskSet) throws {
        let inMemory = outcome { try UpdateReader(bytes, layout: layout, masks: masks) }
        let file = try mapping(bytes)
        let mapped = outcome { try UpdateReader(file, layout: layout, masks: masks) }
        #expect(inMemory.error == mapped.error)
        #expect(inMemory.mean == mapped.mean)
        #expect(inMemory.norm == mapped.norm)
    }

    @Test func everySchemeReadsTheSame() throws {
        let masks = Fixtures.masks(epoch: 7)
        let model = Fixtures.model(seed: 11)
        for (number, scheme) in Fixtures.schemes.enumerated() {
            let bytes = try UpdateEncoder.encode(
                model, header: Fixtures.header(maskEpoch: 7), scheme: scheme, masks: masks, seed: UInt64(number)
            ).bytes
            try Self.compare(bytes, TensorLayout(model), masks)
        }
    }

    @Test func damagedBytesAreRefusedAlike() throws {
        let masks = Fixtures.masks(epoch: 7)
        let model = Fixtures.model(seed: 12)
        var generator = SeededGenerator(seed: 77)
        for number in 0..<400 {
            let scheme = Fixtures.schemes[number * 13 % Fixtures.schemes.count]
            var bytes = try UpdateEncoder.encode(
                model, header: Fixtures.header(maskEpoch: 7), scheme: scheme, masks: masks, seed: 1
            ).bytes
            if number % 3 == 0 {
                bytes.removeLast(Int(generator.next() % UInt64(bytes.count)))
            } else {
                // Near the front half of the time, where the structure is.
                let reach = number % 3 == 1 ? min(bytes.count, 120) : bytes.count
                bytes[Int(generator.next() % UInt64(reach))] ^= UInt8(1 << (generator.next() % 8))
            }
            try Self.compare(bytes, TensorLayout(model), masks)
        }
    }

    /// Large enough that pages are released between the pieces, in both passes.
    @Test(arguments: [ValueFormat.float32, .int8, .int4])
    func largeTensorsReadTheSame(values: ValueFormat) throws {
        let model = NamedTensors([("w", Fixtures.tensor(1_100_000, seed: 3)), ("v", Fixtures.tensor(300_001, seed: 4))])
        let scheme = WireScheme(values: values, smallTensorElements: 0)
        let bytes = try UpdateEncoder.encode(model, header: Fixtures.header(), scheme: scheme).bytes
        try Self.compare(bytes, TensorLayout(model), MaskSet())
    }

    @Test func anEmptyFileIsNoUpdate() throws {
        let layout = TensorLayout(Fixtures.model(seed: 1))
        #expect(throws: CodecError.truncated(field: "the magic", offset: 0)) {
            try UpdateReader(Self.mapping([]), layout: layout)
        }
    }
}

struct DrainTests {
    @Test(arguments: [1, 7, 1000, 1 << 16])
    func drainingGivesTheMean(pieceLength: Int) throws {
        let model = Fixtures.model(seed: 5)
        let bytes = try UpdateEncoder.encode(
            model, header: Fixtures.header(), scheme: WireScheme(values: .float32, smallTensorElements: 0)
        ).bytes
        var fold = FoldAccumulator(layout: TensorLayout(model))
        try fold.add(UpdateReader(bytes, layout: fold.layout), weight: 3)
        let copy = fold
        try fold.add(UpdateReader(bytes, layout: fold.layout), weight: 5)
        #expect(copy.totalWeight == 3)
        for accumulator in [copy, fold] {
            let mean = accumulator.mean()
            var drained: [[UInt32]] = Array(repeating: [], count: model.count)
            var visited = Set<Int>()
            accumulator.drainMean(pieceLength: pieceLength) { index, start, piece in
                #expect(drained[index].count == start)
                visited.insert(index)
                drained[index] += piece.map(\.bitPattern)
            }
            #expect(drained == Fixtures.bitPatterns(mean))
            #expect(visited.count == model.count)
        }
    }

    /// The last piece of a large accumulator is still whole when the pages before it are gone.
    @Test func largeAccumulatorsDrainExactly() throws {
        let model = NamedTensors([("w", Fixtures.tensor(700_000, seed: 3)), ("v", Fixtures.tensor(300_001, seed: 4))])
        let bytes = try UpdateEncoder.encode(
            model, header: Fixtures.header(), scheme: WireScheme(values: .float32, smallTensorElements: 0)
        ).bytes
        var fold = FoldAccumulator(layout: TensorLayout(model))
        try fold.add(UpdateReader(bytes, layout: fold.layout), weight: 1)
        let mean = Fixtures.bitPatterns(fold.mean())
        var drained: [[UInt32]] = [[], []]
        fold.drainMean { index, _, piece in drained[index] += piece.map(\.bitPattern) }
        #expect(drained == mean)
    }
}

struct InPlaceAdditionTests {
    /// Signed zeros included: adding a decoded +0 makes +0 of −0.
    @Test func addingInPlaceIsDecodingAndAdding() throws {
        let masks = Fixtures.masks(epoch: 7)
        var model = Fixtures.model(seed: 21)
        model["bias"] = Fixtures.tensor([-0.0, 0, 1e-30, -1e-30] + Fixtures.bellShaped(33, seed: 2))
        for scheme in Fixtures.schemes {
            let bytes = try UpdateEncoder.encode(
                model, header: Fixtures.header(maskEpoch: 7), scheme: scheme, masks: masks, seed: 4
            ).bytes
            let reader = try UpdateReader(bytes, layout: TensorLayout(model), masks: masks)
            var expected = Fixtures.model(seed: 22)
            expected["bias"] = Fixtures.tensor([Float](repeating: -0.0, count: 37))
            expected["zeros"] = Tensor([Float](repeating: -0.0, count: 45), shape: [9, 5])
            var found = expected
            expected.add(try reader.decode())
            for (index, name) in found.names.enumerated() {
                try found.modify(name) { try reader.add(to: &$0, tensorAt: index) }
            }
            #expect(Fixtures.bitPatterns(found) == Fixtures.bitPatterns(expected))
        }
    }
}
