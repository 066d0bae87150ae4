import Tensors
import Testing

@testable import Engine

/// `tokens:` — windows, the next token, BERT's masks.
@Suite struct DataTokenTests {
    private func write(_ tokens: [Int64], _ folder: String) throws -> String {
        try Npy.write(Tensor(tokens, shape: [tokens.count]), path: "\(folder)/t.npy")
        return "tokens:\(folder)/t.npy"
    }

    @Test func windowsFollowOneAnother() throws {
        try withDataFolder { folder in
            let spec = try write((0..<101).map { Int64($0) }, folder)
            let (train, test) = (try loadDataset("\(spec)?length=5"), try loadDataset("\(spec)?length=5&split=test"))
            #expect(train.count == 18 && test.count == 2 && train.targets == .tokens)
            #expect(train.sampleShape == [5] && train.classCount == 101 && train.labels.isEmpty)
            #expect(train.inputs == [DataInput(name: "x", elementType: .int64, sampleShape: [5])])
            var starts: [Int64] = []
            for set in [train, test] {
                let (inputs, targets) = set.batch(0..<set.count)
                #expect(inputs.shape == [set.count, 5] && targets.shape == [set.count, 5])
                let (x, y) = (inputs.elements(as: Int64.self), targets.elements(as: Int64.self))
                #expect(zip(x, y).allSatisfy { $0 + 1 == $1 })
                starts += stride(from: 0, to: x.count, by: 5).map { x[$0] }
            }
            #expect(starts.sorted() == stride(from: 0, to: 100, by: 5).map { Int64($0) })
            // One token less, and the last window has no target.
            let fewer = try write((0..<100).map { Int64($0) }, folder)
            #expect(
                try loadDataset("\(fewer)?length=5").count + loadDataset("\(fewer)?length=5&split=test").count == 19)
        }
    }

    @Test func shardsAreDisjointAndContiguousWhenAsked() throws {
        try withDataFolder { folder in
            let spec = try write((0..<401).map { Int64($0) }, folder) + "?length=4&partition=contiguous"
            let parts = try (1...3).map { try loadDataset("\(spec)&shard=\($0)/3") }
            let starts = parts.map { part in
                let ids = part.batch(0..<part.count).inputs.elements(as: Int64.self)
                return stride(from: 0, to: ids.count, by: 4).map { ids[$0] }
            }
            #expect(starts.map(\.count) == [30, 30, 30])
            #expect(starts.flatMap { $0 } == starts.flatMap { $0 }.sorted() && Set(starts.flatMap { $0 }).count == 90)
        }
    }

    @Test func bareFilesNeedTheirType() throws {
        try withDataFolder { folder in
            let path = "\(folder)/t.bin"
            try FileBytes.write((0..<65).flatMap { [UInt8($0), 1] }, path: path)
            let set = try loadDataset("tokens:\(path)?type=uint16&length=8")
            #expect(set.count + 1 == 8 && set.classCount == 256 + 65)
            #expect(set.batch([0]).inputs.elements(as: Int64.self).allSatisfy { $0 >= 256 })
            expectRefusal("npy magic") { try loadDataset("tokens:\(path)") }
            expectRefusal("no whole number of uint32") { try loadDataset("tokens:\(path)?type=uint32") }
        }
    }

    @Test func tokensOutsideTheVocabularyAreRefused() throws {
        try withDataFolder { folder in
            let spec = try write([1, 2, 50, 3, 4, 5, 6, 7, 8], folder)
            expectRefusal("token 2 is 50, outside vocabulary=50") { try loadDataset("\(spec)?length=2&vocabulary=50") }
            #expect(try loadDataset("\(spec)?length=2&vocabulary=51").classCount == 51)
            expectRefusal("do not fill a window of length=9") { try loadDataset("\(spec)?length=9") }
            let set = try loadDataset("\(spec)?length=2")
            try set.checkFits(inputDimensions: [2], classes: 51)
            expectRefusal("a vocabulary of 51, the model has 50 outputs") {
                try set.checkFits(inputDimensions: [nil], classes: 50)
            }
            let negative = try write([0, -1, 2, 3], folder)
            expectRefusal("token 1 is -1") { try loadDataset("\(negative)?length=2") }
        }
    }

    /// 15 % are targets; of these 80 % hidden, 10 % another token, 10 % shown; everything else has no target.
    @Test func masksAreBerts() throws {
        try withDataFolder { folder in
            var random = SeededGenerator(seed: 1)
            let spec = try write((0..<80_000).map { _ in Int64(1 + random.index(below: 99)) }, folder)
            let set = try loadDataset("\(spec)?length=40&objective=masked&mask=100")
            #expect(set.classCount == 101)
            let seed = AugmentationSeed(seed: 3, epoch: 0)
            let batch = try set.samples(at: 0..<set.count, augmentedBy: seed).batch
            let (x, y) = (
                try batch.inputs.require("x").elements(as: Int64.self), batch.targets.elements(as: Int64.self)
            )
            let original = try loadDataset("\(spec)?length=40&objective=masked&mask=100&seed=9")
            let known = try original.samples(at: 0..<set.count).batch
            let (otherX, otherY) = (
                try known.inputs.require("x").elements(as: Int64.self), known.targets.elements(as: Int64.self)
            )
            var (chosen, hidden, shown) = (0, 0, 0)
            for index in x.indices {
                if y[index] == -100 {
                    // Where the other mask shows the token, both must agree.
                    if otherY[index] == -100 { #expect(x[index] == otherX[index]) }
                    continue
                }
                chosen += 1
                if x[index] == 100 { hidden += 1 } else if x[index] == y[index] { shown += 1 }
            }
            let share = Double(chosen) / Double(x.count)
            #expect(abs(share - 0.15) < 0.006 && abs(Double(hidden) / Double(chosen) - 0.8) < 0.02)
            #expect(abs(Double(shown) / Double(chosen) - 0.1) < 0.02)
            let windows = stride(from: 0, to: y.count, by: 40).map { y[$0..<$0 + 40] }
            #expect(windows.allSatisfy { $0.contains { $0 != -100 } })
            // Another epoch hides others; without a seed it is always the same.
            let next = try set.samples(at: [0, 1], augmentedBy: AugmentationSeed(seed: 3, epoch: 1))
            #expect(next != (try set.samples(at: [0, 1], augmentedBy: seed)))
            #expect(try set.samples(at: [1]) == set.samples(at: [1]))
        }
    }

    @Test func aWindowOfOneTokenHasATarget() throws {
        try withDataFolder { folder in
            let spec = try write([5, 6, 7, 8], folder) + "?length=1&objective=masked&mask=0"
            let set = try loadDataset(spec)
            let targets = set.batch(0..<set.count).labels.elements(as: Int64.self)
            #expect(targets.count == 3 && targets.allSatisfy { $0 != -100 })
        }
    }
}
