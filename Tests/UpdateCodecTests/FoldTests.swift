import Tensors
import Testing

@testable import UpdateCodec

struct FoldTests {
    private struct Contribution {
        var update: UpdateReader
        var weight: UInt32
        var decoded: NamedTensors
    }

    private static let masks = Fixtures.masks(epoch: 7)

    private static func contribution(_ number: Int) throws -> Contribution {
        var tensors = Fixtures.model(seed: UInt64(number) &* 77)
        tensors["zeros"] = Fixtures.tensor(45, seed: UInt64(number)).reshapedForTest([9, 5])
        let schemes = Fixtures.schemes
        let update = try UpdateEncoder.encode(
            tensors, header: Fixtures.header(maskEpoch: 7), scheme: schemes[number * 7 % schemes.count], masks: masks,
            seed: UInt64(number))
        let reader = try UpdateReader(update.bytes, layout: TensorLayout(tensors), masks: masks)
        return Contribution(update: reader, weight: UInt32(1 + number * number), decoded: update.decoded)
    }

    /// What one round left behind must not show in the next.
    @Test func keptMemoryGivesTheSameMeanAsFreshMemory() throws {
        let contributions = try (0..<4).map(Self.contribution)
        let layout = contributions[0].update.layout
        var memory: FoldMemory?
        for round in 0..<3 {
            var fold = FoldAccumulator(layout: layout, reusing: memory.take())
            var fresh = FoldAccumulator(layout: layout)
            for contribution in contributions[...round] {
                try fold.add(contribution.update, weight: contribution.weight)
                try fresh.add(contribution.update, weight: contribution.weight)
            }
            let mean = fold.mean()
            #expect(Fixtures.bitPatterns(mean) == Fixtures.bitPatterns(fresh.mean()))
            memory = (consume fold).drainMean(keepingMemory: true) { _, _, _ in }
            #expect(memory != nil)
        }
        let copied = FoldAccumulator(layout: layout, reusing: memory.take())
        let held = copied
        #expect(copied.drainMean(keepingMemory: true) { _, _, _ in } == nil, "memory that somebody else still reads")
        #expect(held.contributions == 0)
    }

    @Test func memoryOfAnotherSizeIsNotUsed() throws {
        let contribution = try Self.contribution(1)
        let other = FoldAccumulator(layout: TensorLayout(NamedTensors([("x", Tensor(zeros: [3]))])))
        let memory = other.drainMean(keepingMemory: true) { _, _, _ in }
        var fold = FoldAccumulator(layout: contribution.update.layout, reusing: memory)
        try fold.add(contribution.update, weight: 2)
        #expect(fold.mean().elementCount == contribution.update.layout.elementCount)
    }

    @Test func anyOrderGivesTheSameBytes() throws {
        var contributions = try (0..<12).map(Self.contribution)
        var means: [[[UInt32]]] = []
        var generator = SeededGenerator(seed: 4)
        for _ in 0..<6 {
            contributions.shuffle(using: &generator)
            var fold = FoldAccumulator(layout: contributions[0].update.layout)
            for contribution in contributions { try fold.add(contribution.update, weight: contribution.weight) }
            #expect(fold.contributions == 12)
            #expect(fold.totalWeight == 12 + 506)
            means.append(Fixtures.bitPatterns(fold.mean()))
        }
        #expect(Set(means).count == 1)
    }

    @Test func meanFollowsTheFormula() throws {
        let contributions = try (0..<9).map(Self.contribution)
        var fold = FoldAccumulator(layout: contributions[0].update.layout)
        for contribution in contributions { try fold.add(contribution.update, weight: contribution.weight) }
        let total = Double(fold.totalWeight)
        for (name, mean) in fold.mean().ordered {
            for (index, value) in mean.floats.enumerated() {
                let sum = contributions.reduce(Int64(0)) { sum, contribution in
                    let x = Double(contribution.decoded[name]?.floats[index] ?? 0)
                    return sum + Int64(contribution.weight) * Int64((x * 0x1p30).rounded(.toNearestOrEven))
                }
                #expect(value.bitPattern == Float(Double(sum) / (total * 0x1p30)).bitPattern)
            }
        }
    }

    @Test func emptyFoldIsZero() {
        let layout = TensorLayout(Fixtures.model(seed: 1))
        let mean = FoldAccumulator(layout: layout).mean()
        #expect(TensorLayout(mean) == layout)
        #expect(Fixtures.bitPatterns(mean).allSatisfy { $0.allSatisfy { $0 == 0 } })
    }

    private func reader(_ values: [Float], name: String = "x") throws -> UpdateReader {
        let tensors = NamedTensors([("first", Fixtures.tensor([1, 2])), (name, Fixtures.tensor(values))])
        let update = try UpdateEncoder.encode(
            tensors, header: Fixtures.header(), scheme: WireScheme(values: .float32, smallValues: .float32))
        return try UpdateReader(update.bytes, layout: TensorLayout(tensors))
    }

    @Test func refusedUpdatesChangeNothing() throws {
        let good = try reader([1, 2, 3])
        var fold = FoldAccumulator(layout: good.layout)
        try fold.add(good, weight: 5)
        let before = Fixtures.bitPatterns(fold.mean())
        #expect(throws: CodecError.valueBeyondFold(tensor: "x", magnitude: Float(256).nextUp)) {
            try fold.add(reader([1, 2, -Float(256).nextUp]), weight: 1)
        }
        #expect(throws: CodecError.weightBeyondFold(total: (1 << 24) + 1)) {
            try fold.add(reader([1, 2, 3]), weight: (1 << 24) - 4)
        }
        #expect(throws: CodecError.weightBeyondFold(total: 5 + UInt64(UInt32.max))) { try fold.add(good, weight: .max) }
        #expect(throws: CodecError.weightBeyondFold(total: 5)) { try fold.add(good, weight: 0) }
        #expect(throws: CodecError.self) { try fold.add(reader([1, 2, 3], name: "y"), weight: 1) }
        #expect(throws: CodecError.self) { try fold.add(reader([1, 2]), weight: 1) }
        #expect(Fixtures.bitPatterns(fold.mean()) == before)
        #expect(fold.totalWeight == 5)
        #expect(fold.contributions == 1)
    }

    @Test func largestValueAtLargestWeightIsExact() throws {
        let extreme = try reader([256, -256, 0x1p-30])
        var fold = FoldAccumulator(layout: extreme.layout)
        try fold.add(extreme, weight: 1 << 24)
        #expect(Fixtures.floats(fold.mean(), "x") == [256, -256, 0x1p-30])
    }
}

extension Tensor {
    fileprivate func reshapedForTest(_ shape: Shape) -> Tensor { Tensor(floats, shape: shape) }
}
