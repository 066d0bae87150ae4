import Tensors
import Testing

@testable import UpdateCodec

struct MaskChangeTests {
    private static let count = 4_000

    private func change(
        from old: MaskSet, to new: MaskSet, values: NamedTensors
    ) throws -> (update: EncodedUpdate, reader: UpdateReader, description: UpdateDescription) {
        let update = try UpdateEncoder.encode(
            values, header: Fixtures.header(.delta, maskEpoch: new.epoch), scheme: WireScheme(values: .int8),
            masks: old, newMasks: new)
        let reader = try UpdateReader(update.bytes, layout: TensorLayout(values), masks: old)
        #expect(reader.newMasks == new)
        #expect(try Fixtures.bitPatterns(reader.decode()) == Fixtures.bitPatterns(update.decoded))
        return (update, reader, try UpdateDescription(describing: update.bytes))
    }

    private func model(_ count: Int = count) -> NamedTensors {
        NamedTensors([("a", Fixtures.tensor(count, seed: 1)), ("b", Fixtures.tensor(count, seed: 2))])
    }

    private func subset(of old: Bitmap, keeping share: Float, seed: UInt64) -> Bitmap {
        var generator = SeededGenerator(seed: seed)
        var new = old
        for index in 0..<old.count where generator.uniform() >= share { new[index] = false }
        return new
    }

    @Test(arguments: [0, 0.005, 0.1, 0.5, 0.9, 0.998, 1] as [Float])
    func aSubsetIsCodedAmongTheAlive(_ share: Float) throws {
        let old = MaskSet(epoch: 3, bitmaps: ["a": Fixtures.bitmap(Self.count, density: 0.4, seed: 3)])
        var new = old
        new.epoch = 4
        new.bitmaps["a"] = subset(of: try #require(old["a"]), keeping: share, seed: 4)
        new.bitmaps["b"] = Fixtures.bitmap(Self.count, density: share, seed: 5)
        let result = try change(from: old, to: new, values: model())
        // Keeping every alive weight is no change.
        #expect(result.description.maskChanges.map(\.index) == (share == 1 ? [1] : [0, 1]))
        #expect(result.description.maskChanges.allSatisfy { $0.relative })
        if let first = result.description.maskChanges.first, first.index == 0 {
            #expect(first.bytes <= (old["a"]?.populationCount ?? 0) / 8 + 1)
        }
        for (name, decoded) in result.update.decoded.ordered {
            let residual = Fixtures.floats(result.update.residual, name)
            for (index, value) in decoded.floats.enumerated() where new[name]?[index] == false {
                #expect(value == 0 && residual[index] == 0)
            }
        }
    }

    @Test func revivalIsCodedInFullAndRemovalByItsName() throws {
        let old = MaskSet(
            epoch: 1,
            bitmaps: [
                "a": Fixtures.bitmap(Self.count, density: 0.4, seed: 3),
                "b": Fixtures.bitmap(Self.count, density: 0.1, seed: 4),
            ])
        let new = MaskSet(epoch: 9, bitmaps: ["a": Fixtures.bitmap(Self.count, density: 0.4, seed: 99)])
        let result = try change(from: old, to: new, values: model())
        #expect(result.description.maskChanges.map(\.coding) == ["bitmap", "removed"])
        #expect(result.description.maskChanges.map(\.relative) == [false, false])
        #expect(result.description.oldMaskEpoch == 1)
        #expect(result.description.maskEpoch == 9)
    }

    @Test func eachFormIsChosenWhereItIsSmallest() throws {
        var structured = Bitmap(repeating: false, count: Self.count)
        for index in 0..<Self.count where index / 500 % 2 == 0 { structured[index] = true }
        let expected: [(Bitmap, String)] = [
            (Fixtures.bitmap(Self.count, density: 0.5, seed: 1), "bitmap"),
            (Fixtures.bitmap(Self.count, density: 0.03, seed: 1), "gaps"),
            (Fixtures.bitmap(Self.count, density: 0.97, seed: 1), "gaps-of-dead"), (structured, "lz4"),
        ]
        for (bitmap, form) in expected {
            let new = MaskSet(epoch: 1, bitmaps: ["b": bitmap])
            let result = try change(from: MaskSet(), to: new, values: model())
            #expect(result.description.maskChanges.map(\.coding) == [form])
        }
    }

    @Test func aPureMaskChangeIsTiny() throws {
        let zeros = NamedTensors(model().ordered.map { ($0.name, Tensor(zeros: $0.tensor.shape)) })
        let old = MaskSet(epoch: 1, bitmaps: ["a": Fixtures.bitmap(Self.count, density: 0.2, seed: 3)])
        var new = old
        new.epoch = 2
        new.bitmaps["a"] = subset(of: try #require(old["a"]), keeping: 0.95, seed: 4)
        let result = try change(from: old, to: new, values: zeros)
        #expect(result.update.bytes.count < UpdateHeader.byteCount + 60)
        #expect(result.reader.squaredNorm() == 0)
    }

    @Test func wrongEpochsAndForeignMasksAreRefused() throws {
        let old = MaskSet(epoch: 1, bitmaps: ["a": Fixtures.bitmap(Self.count, density: 0.4, seed: 3)])
        var new = old
        new.epoch = 2
        new.bitmaps["a"] = subset(of: try #require(old["a"]), keeping: 0.5, seed: 4)
        let bytes = try change(from: old, to: new, values: model()).update.bytes
        let layout = TensorLayout(model())
        var later = old
        later.epoch = 2
        #expect(throws: CodecError.wrongMaskEpoch(expected: 2, found: 1)) {
            try UpdateReader(bytes, layout: layout, masks: later)
        }
        // Same epoch, another mask: the counts of alive elements give it away.
        let foreign = MaskSet(epoch: 1, bitmaps: ["a": Fixtures.bitmap(Self.count, density: 0.4, seed: 5)])
        #expect(throws: CodecError.self) { try UpdateReader(bytes, layout: layout, masks: foreign) }
        var outside = new
        outside.bitmaps["other"] = Bitmap(repeating: true, count: 3)
        #expect(throws: CodecError.self) {
            try UpdateEncoder.encode(
                model(), header: Fixtures.header(maskEpoch: 2), scheme: WireScheme(), masks: old, newMasks: outside)
        }
        let plain = try UpdateEncoder.encode(
            model(), header: Fixtures.header(maskEpoch: 2), scheme: WireScheme(), masks: new)
        #expect(throws: CodecError.wrongMaskEpoch(expected: 1, found: 2)) {
            try UpdateReader(plain.bytes, layout: layout, masks: old)
        }
    }
}
