import Tensors
import Testing

@testable import Engine

/// Every augmentation against a slow reference, and where none may happen.
@Suite struct DataAugmentationTests {
    private static let shape: Shape = [2, 5, 7]

    private func augmentation(_ options: String) throws -> Augmentation {
        let spec = try DataSpec(parsing: "npy:a?\(options)", environment: [:])
        let field = SampleField(
            name: "x", rows: MemoryRows(Tensor(zeros: [1, 2, 5, 7])),
            normalization: SampleNormalization(plain: .float32))
        return try #require(try Augmentation.named(by: spec, fields: [field]))
    }

    private func apply(_ augmentation: Augmentation, _ choice: Augmentation.Choice, to image: [Float]) -> [Float] {
        var image = image
        var scratch = [Float](repeating: .nan, count: image.count)
        image.withUnsafeMutableBufferPointer { image in
            scratch.withUnsafeMutableBufferPointer { scratch in
                if let target = image.baseAddress, let room = scratch.baseAddress {
                    augmentation.apply(choice, to: target, scratch: room)
                }
            }
        }
        return image
    }

    /// Pads with zeros, mirrors, cuts, and clears the hole, one pixel at a time.
    private func reference(_ choice: Augmentation.Choice, _ image: [Float]) -> [Float] {
        var result: [Float] = []
        for plane in 0..<2 {
            for y in 0..<5 {
                for x in 0..<7 {
                    let row = y + choice.top
                    var column = x + choice.left
                    let isInside = (0..<5).contains(row) && (0..<7).contains(column)
                    if choice.isFlipped { column = 6 - column }
                    let isHole = choice.hole.map { $0.rows.contains(y) && $0.columns.contains(x) } ?? false
                    result.append(isInside && !isHole ? image[(plane * 5 + row) * 7 + column] : 0)
                }
            }
        }
        return result
    }

    @Test(arguments: ["crop=2", "crop=9", "flip=true", "cutout=3", "cutout=6", "crop=3&flip=true&cutout=2"])
    func imagesAreThoseOfTheReference(options: String) throws {
        let augmentation = try augmentation(options)
        var random = SeededGenerator(seed: 3)
        let image = (0..<70).map { _ in random.uniform() + 1 }
        var seen: [[Float]] = []
        for sample in 0..<300 {
            var generator = AugmentationSeed(seed: 1, epoch: 0).generator("augment", sample: sample)
            let choice = augmentation.choice(using: &generator)
            let result = apply(augmentation, choice, to: image)
            #expect(result == reference(choice, image), "\(choice)")
            if !seen.contains(result) { seen.append(result) }
        }
        #expect(seen.count > 1)
    }

    @Test func choicesCoverTheirRanges() throws {
        let augmentation = try augmentation("crop=2&flip=true&cutout=3")
        var generator = SeededGenerator(seed: 1)
        let choices = (0..<2_000).map { _ in augmentation.choice(using: &generator) }
        #expect(Set(choices.map(\.top)) == Set(-2...2) && Set(choices.map(\.left)) == Set(-2...2))
        #expect((850...1_150).contains(choices.count { $0.isFlipped }))
        // Centres reach every row and column, so holes at the edge are cut off.
        #expect(Set(choices.compactMap { $0.hole?.rows.count }) == [2, 3])
        #expect(Set(choices.compactMap { $0.hole?.columns.lowerBound }) == Set(0...5))
    }

    @Test func mixupMixesInputsAndTargetsAlike() throws {
        let set = try loadDataset("synthetic:digits?samples=50&mixup=0.3")
        let seed = AugmentationSeed(seed: 4, epoch: 2)
        let indices = Array(stride(from: 0, to: 50, by: 5)) + [1]
        let mixed = try set.samples(at: indices, augmentedBy: seed).batch
        let (inputs, labels) = set.batch(indices)
        let (plain, classes) = (inputs.floats, labels.elements(as: Int64.self))
        let weights = Mixup(alpha: 0.3).weights(indices, seed: seed)
        #expect(weights.allSatisfy { $0 >= 0 && $0 <= 1 } && Set(weights).count > 5)
        let (x, y) = (try mixed.inputs.require("x").floats, mixed.targets.floats)
        #expect(mixed.targets.shape == [11, 10])
        for row in indices.indices {
            let other = indices.count - 1 - row
            for pixel in 0..<784 {
                let expected = weights[row] * plain[row * 784 + pixel] + (1 - weights[row]) * plain[other * 784 + pixel]
                #expect(x[row * 784 + pixel] == expected)
            }
            for label in 0..<10 {
                let expected =
                    (classes[row] == label ? weights[row] : 0) + (classes[other] == label ? 1 - weights[row] : 0)
                #expect(abs(y[row * 10 + label] - expected) < 1e-6)
            }
        }
    }

    /// Beta(α, α) has mean 1/2 and variance 1/(4(2α + 1)).
    @Test(arguments: [0.2, 1, 5]) func mixupWeightsAreBeta(alpha: Double) {
        let weights = Mixup(alpha: alpha).weights(Array(0..<20_000), seed: AugmentationSeed(seed: 1, epoch: 0))
        let mean = weights.reduce(0) { $0 + Double($1) } / 20_000
        let variance = weights.reduce(0) { $0 + (Double($1) - mean) * (Double($1) - mean) } / 20_000
        #expect(abs(mean - 0.5) < 0.01 && abs(variance * 4 * (2 * alpha + 1) - 1) < 0.04)
    }

    @Test func nothingIsAugmentedUnasked() throws {
        let text = "synthetic:digits?samples=30&seed=2&crop=4&flip=true&cutout=9&mixup=1"
        let (set, plain) = (try loadDataset(text), try loadDataset("synthetic:digits?samples=30&seed=2"))
        #expect(set.isAugmented && !plain.isAugmented)
        #expect(set.batch(0..<30).inputs == plain.batch(0..<30).inputs)
        #expect(try set.samples(at: 0..<30) == plain.samples(at: 0..<30))
        let seed = AugmentationSeed(seed: 1, epoch: 1)
        #expect(try set.samples(at: 0..<30, augmentedBy: seed) != plain.samples(at: 0..<30))
        #expect(try plain.samples(at: 0..<30, augmentedBy: seed) == plain.samples(at: 0..<30))
        let test = try loadDataset(text + "&split=test")
        #expect(!test.isAugmented)
        #expect(try test.samples(at: 0..<9, augmentedBy: seed) == test.samples(at: 0..<9))
    }

    @Test func whatIsNoImageIsRefused() throws {
        try withDataFolder { folder in
            try Npy.write(Tensor(zeros: [20, 4]), path: "\(folder)/x.npy")
            try Npy.write(Tensor([Int64](repeating: 0, count: 20), shape: [20]), path: "\(folder)/y.npy")
            expectRefusal("samples are [4]") { try loadDataset("npy:\(folder)?flip=true") }
            #expect(try loadDataset("npy:\(folder)?mixup=0.2").isAugmented)
            try Npy.write(Tensor(zeros: [20, 4], elementType: .int64), path: "\(folder)/ids.npy")
            expectRefusal("'ids' holds integers") { try loadDataset("npy:\(folder)?mixup=0.2") }
        }
    }
}
