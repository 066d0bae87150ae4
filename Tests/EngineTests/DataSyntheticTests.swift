import Tensors
import Testing

#if canImport(Engine)
    @testable import Engine
#else
    @testable import EngineData
#endif

@Suite struct DataSyntheticTests {
    @Test func samplesDependOnSeedAndPlaceAlone() throws {
        let few = try loadDataset("synthetic:digits?samples=40&seed=3")
        let many = try loadDataset("synthetic:digits?samples=60&seed=3")
        #expect(few.sampleShape == [1, 28, 28] && few.count == 40 && few.classCount <= 10)
        #expect(few.batch(0..<40).inputs == many.batch(0..<40).inputs)
        #expect(few.labels == Array(many.labels.prefix(40)))
        #expect(
            few.batch(0..<40).inputs != (try loadDataset("synthetic:digits?samples=40&seed=4").batch(0..<40).inputs))
        let test = try loadDataset("synthetic:digits?samples=40&seed=3&split=test")
        #expect(few.batch(0..<40).inputs != test.batch(0..<40).inputs)
    }

    @Test func shardsHoldTheWholeSetsImages() throws {
        let whole = try loadDataset("synthetic:digits?samples=30&seed=3")
        let parts = try (1...3).map { try loadDataset("synthetic:digits?samples=30&seed=3&shard=\($0)/3") }
        func images(_ set: Dataset) -> Set<[UInt8]> { Set((0..<set.count).map { set.batch([$0]).inputs.bytes }) }
        #expect(parts.map { images($0) }.reduce(into: Set()) { $0.formUnion($1) } == images(whole))
        #expect(parts.map(\.count) == [10, 10, 10])
    }

    /// The bytes are part of the contract: plans that name a seed must mean the same data next year.
    @Test func goldenBytes() {
        let digits = SyntheticDigits(split: .train, samples: 5, seed: 7)
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in digits.draw([0, 1, 2, 3, 4]).bytes { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        #expect(digits.labels == [3, 7, 7, 7, 7])
        #expect(hash == 3_997_754_183_033_554_311)
    }

    @Test func defaultSizes() {
        #expect(SyntheticDigits(split: .train, samples: nil, seed: 0).labels.count == 12_000)
        let test = SyntheticDigits(split: .test, samples: nil, seed: 0).labels
        #expect(test.count == 2_000)
        for digit in 0..<10 { #expect(test.count { $0 == Int64(digit) } > 150) }
    }

    @Test func everyStyleLeavesInkOnTheSheet() {
        for (digit, styles) in DigitSkeletons.styles.enumerated() {
            #expect(styles.count >= 2, "digit \(digit)")
            for point in styles.joined().joined() { #expect(abs(point.x) <= 0.5 && abs(point.y) <= 0.5) }
        }
        #expect(DigitSkeletons.styles.count == 10)
    }

    @Test func seriesAgreesWithKnownSines() {
        for (turns, sine) in [(0, 0), (0.25, 1), (0.5, 0), (-0.25, -1), (1.0 / 12, 0.5), (5.0 / 12, 0.5), (2.25, 1)] {
            #expect(abs(Trigonometry.sine(Float(turns)) - Float(sine)) < 1e-6, "\(turns)")
        }
        #expect(abs(Trigonometry.cosine(1.0 / 6) - 0.5) < 1e-6)
    }

    /// Softmax regression by gradient descent on 600 images: better than chance, far below 90 %.
    @Test func linearModelsStayUnderNinetyPercent() throws {
        let train = try loadDataset("synthetic:digits?samples=600&seed=1")
        let test = try loadDataset("synthetic:digits?samples=300&seed=1&split=test")
        let weights = softmaxRegression(train, passes: 6, rate: 0.02)
        let accuracy = accuracy(of: weights, on: test)
        #expect(accuracy > 0.15 && accuracy < 0.9, "accuracy \(accuracy)")
    }

    private func softmaxRegression(_ set: Dataset, passes: Int, rate: Float) -> [Float] {
        var weights = [Float](repeating: 0, count: 10 * 785)
        let inputs = set.batch(0..<set.count).inputs.floats
        for pass in 0..<passes {
            for sample in Dataset.shuffledOrder(count: set.count, seed: UInt64(pass)) {
                let values = logits(weights, inputs, at: sample * 784)
                let largest = values.max() ?? 0
                let powers = values.map { exponential($0 - largest) }
                let sum = powers.reduce(0, +)
                inputs.withUnsafeBufferPointer { inputs in
                    weights.withUnsafeMutableBufferPointer { weights in
                        for label in 0..<10 {
                            let error = powers[label] / sum - (Int64(label) == set.labels[sample] ? 1 : 0)
                            for pixel in 0..<784 {
                                weights[label * 785 + pixel] -= rate * error * inputs[sample * 784 + pixel]
                            }
                            weights[label * 785 + 784] -= rate * error
                        }
                    }
                }
            }
        }
        return weights
    }

    private func accuracy(of weights: [Float], on set: Dataset) -> Double {
        let inputs = set.batch(0..<set.count).inputs.floats
        let right = (0..<set.count).count { sample in
            let values = logits(weights, inputs, at: sample * 784)
            return values.firstIndex(of: values.max() ?? 0) == Int(set.labels[sample])
        }
        return Double(right) / Double(set.count)
    }

    private func logits(_ weights: [Float], _ inputs: [Float], at start: Int) -> [Float] {
        weights.withUnsafeBufferPointer { weights in
            inputs.withUnsafeBufferPointer { inputs in
                (0..<10).map { label in
                    var sum = weights[label * 785 + 784]
                    for pixel in 0..<784 { sum += weights[label * 785 + pixel] * inputs[start + pixel] }
                    return sum
                }
            }
        }
    }

    /// e to a power of at most 0, near enough for a gradient: (1 + x / 1024)^1024.
    private func exponential(_ x: Float) -> Float {
        var value = max(0, 1 + x / 1_024)
        for _ in 0..<10 { value *= value }
        return value
    }
}
