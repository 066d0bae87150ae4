import Foundation
import Tensors
import Testing

@testable import Engine

/// `folder:` — classes from folders, images decoded when asked for, damage left out and counted.
@Suite struct DataFolderTests {
    @Test func classesAreFoldersInByteOrder() throws {
        try withDataFolder { folder in
            try writeFiles(
                [
                    "train/b/1.png": plainImage(.png, 255, 0, 0), "train/b/0.jpeg": plainImage(.jpeg, 0, 0, 0),
                    "train/B/x.PNG": plainImage(.png, 0, 255, 0), "train/c/y.JPG": plainImage(.jpeg, 255, 255, 255),
                    "train/c/notes.txt": [1], "train/c/.hidden.png": [1], "test/c/z.png": plainImage(.png, 0, 0, 255),
                ], in: folder)
            let train = try loadDataset("folder:\(folder)")
            #expect(train.classNames == ["B", "b", "c"] && train.classCount == 3 && train.labels == [0, 1, 1, 2])
            #expect(train.sampleShape == [3, 8, 8] && train.classHistogram() == [1, 2, 1])
            let (inputs, labels) = train.batch([2, 0, 3])
            #expect(labels == Tensor([1, 0, 2] as [Int64], shape: [3]))
            let corners = inputs.floats.enumerated().filter { $0.offset % 64 == 0 }.map(\.element)
            #expect(corners == [1, 0, 0, 0, 1, 0, 1, 1, 1])
            // The class keeps its number where others have no images.
            let test = try loadDataset("folder:\(folder)?split=test")
            #expect(test.labels == [2] && test.classCount == 3)
            let grey = try loadDataset("folder:\(folder)?channels=1&mean=0.5&std=0.5&size=4x6")
            #expect(grey.sampleShape == [1, 4, 6])
            #expect(grey.batch([3]).inputs.floats == [Float](repeating: 1, count: 24))
        }
    }

    @Test func withoutSplitFoldersATenthIsHeldOut() throws {
        try withDataFolder { folder in
            for index in 0..<20 {
                let image = plainImage(.png, UInt8(index), 0, 0)
                try writeFiles(["\(index % 2 == 0 ? "even" : "odd")/\(index).png": image], in: folder)
            }
            let (train, test) = (try loadDataset("folder:\(folder)"), try loadDataset("folder:\(folder)?split=test"))
            #expect(train.count == 18 && test.count == 2)
            func reds(_ set: Dataset) -> [Int] {
                let floats = set.batch(0..<set.count).inputs.floats
                return (0..<set.count).map { Int((floats[$0 * 192] * 255).rounded()) }
            }
            #expect((reds(train) + reds(test)).sorted() == Array(0..<20))
            #expect(zip(reds(train), train.labels).allSatisfy { $0 % 2 == Int($1) })
            let shards = try (1...3).map { try loadDataset("folder:\(folder)?shard=\($0)/3") }
            #expect(shards.flatMap(reds).sorted() == reds(train).sorted())
        }
    }

    @Test func whatDoesNotFitIsRefused() throws {
        try withDataFolder { folder in
            expectRefusal("no folders") { try loadDataset("folder:\(folder)") }
            expectRefusal("cannot read \(folder)/none") { try loadDataset("folder:\(folder)/none") }
            try makeFolder("\(folder)/train/a")
            expectRefusal("no .jpg, .jpeg or .png file") { try loadDataset("folder:\(folder)") }
            try writeFiles(["train/a/0.png": [1, 2, 3], "test/z/0.png": plainImage(.png, 0, 0, 0)], in: folder)
            expectRefusal("give size=") { try loadDataset("folder:\(folder)") }
            expectRefusal("no class 'z'") { try loadDataset("folder:\(folder)?split=test") }
            try FileManager.default.removeItem(atPath: "\(folder)/train")
            expectRefusal("'test' but none 'train'") { try loadDataset("folder:\(folder)") }
        }
    }

    @Test func damagedImagesAreLeftOutAndCounted() throws {
        try withDataFolder { folder in
            let whole = plainImage(.jpeg, 90, 90, 90)
            for index in 0..<5 { try writeFiles(["a/\(index).jpg": whole], in: folder) }
            try writeFiles(["a/2.jpg": Array(whole.dropLast(40)), "a/3.jpg": []], in: folder)
            let set = try loadDataset("folder:\(folder)?size=8")
            let bad = (0..<set.count).filter { set.batch([$0]).inputs.shape[0] == 0 }
            let loaded = try set.samples(at: 0..<set.count)
            #expect(loaded.damaged.count == bad.count && bad.count >= 1)
            #expect(loaded.indices == (0..<set.count).filter { !bad.contains($0) })
            #expect(loaded.batch.inputs.ordered[0].tensor.shape == [loaded.indices.count, 3, 8, 8])
            #expect(loaded.batch.sampleCount == loaded.indices.count)
            #expect(set.damage.damaged == 2 * bad.count && set.damage.visited == 2 * set.count)
            #expect(set.damage.examples.count == bad.count && set.damage.examples[0].name.contains("\(folder)/a/"))
            expectRefusal("more than 1 %") { try set.checkDamage() }
        }
    }

    /// A sound image of another size is a mistake of the SPEC, not damage.
    @Test func anotherSizeIsAnErrorThatNamesTheFile() throws {
        try withDataFolder { folder in
            try writeFiles(["train/a/0.png": plainImage(.png, 0, 0, 0)], in: folder)
            try writeFiles(["train/a/1.png": plainImage(.png, 0, 0, 0, side: 9)], in: folder)
            let set = try loadDataset("folder:\(folder)")
            expectRefusal("train/a/1.png: the image is 9 wide and 9 high") { try set.samples(at: [0, 1]) }
            let loader = BatchLoader(set, plan: [PlannedBatch(epoch: 0, indices: [0, 1])], seed: nil)
            expectRefusal("give size=HEIGHTxWIDTH") { try loader.next() as Any }
            #expect(try loader.next() == nil)
            #expect(try loadDataset("folder:\(folder)?size=8").samples(at: [0, 1]).indices == [0, 1])
        }
    }
}
