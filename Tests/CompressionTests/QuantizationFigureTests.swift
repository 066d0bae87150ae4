import ModelGraph
import Tensors
import Testing

@testable import Compression

/// Ranges of activations, and figures of layers.
@Suite struct QuantizationFigureTests {
    private static let ranges: [(Double, Double)] = [
        (0, 0), (0, 6), (-1, 1), (-0.3, 2.7), (-5, 0), (-1e-40, 1e-40), (-1e9, 3), (0, 1e-12),
    ]

    /// uint8 asymmetric as it was before other storages came.
    @Test func asymmetricUint8IsWhatItWas() {
        for (low, high) in Self.ranges {
            let found = ActivationQuantization(low: low, high: high)
            guard high > low else {
                #expect(found == ActivationQuantization(scale: 1, zeroPoint: 0))
                continue
            }
            let scale = max(Float((high - low) / 255), .leastNormalMagnitude)
            let zeroPoint = (-low / Double(scale)).rounded(.toNearestOrEven)
            #expect(found.scale == scale && found.zeroPoint == Int32(min(max(zeroPoint, 0), 255)))
            #expect(found.storage == .uint8)
        }
    }

    @Test(arguments: [ActivationQuantization.Storage.uint8, .int8])
    func everyStorageCoversTheRange(_ storage: ActivationQuantization.Storage) {
        for (low, high) in Self.ranges {
            for symmetric in [false, true] {
                for powerOfTwo in [false, true] {
                    let found = ActivationQuantization(
                        low: low, high: high, storage: storage, symmetric: symmetric, powerOfTwo: powerOfTwo)
                    let (scale, zero) = (Double(found.scale), Double(found.zeroPoint))
                    let bottom = scale * (Double(storage.codes.lowerBound) - zero)
                    let top = scale * (Double(storage.codes.upperBound) - zero)
                    // Half a step is lost where the zero point is rounded.
                    #expect(bottom <= low + 0.51 * scale && top >= high - 0.51 * scale)
                    if symmetric { #expect(found.zeroPoint == (storage == .uint8 ? 128 : 0)) }
                    if powerOfTwo { #expect(found.scale.significand == 1) }
                    #expect(found.storage == storage && found.scale >= .leastNormalMagnitude)
                }
            }
        }
    }

    @Test func theClippedShareIsThatOfTheValues() {
        var random = SeededGenerator(seed: 4)
        let values = LowRankReference.noise(4000, &random).map(Float.init)
        var histogram = ActivationHistogram()
        #expect(histogram.clippedShare(low: 0, high: 0) == 0)
        #expect(values.withUnsafeBufferPointer { histogram.add($0) })
        for (low, high) in [(-9.0, 9.0), (-1, 1), (-2, 0.5), (0, 3), (0, 0)] {
            let counted = values.count { Double($0) < low || Double($0) > high }
            let expected = Double(counted) / Double(values.count)
            #expect(abs(histogram.clippedShare(low: low, high: high) - expected) < 0.005)
        }
        // All of one value.
        var constant = ActivationHistogram()
        #expect([Float](repeating: 2, count: 5).withUnsafeBufferPointer { constant.add($0) })
        #expect(constant.clippedShare(low: 0, high: 1) == 1 && constant.clippedShare(low: 0, high: 2) == 0)
    }

    @Test func figuresOfAgreementAddUp() throws {
        var random = SeededGenerator(seed: 6)
        let x = Tensor(LowRankReference.noise(60, &random).map(Float.init), shape: [60])
        let y = Tensor(x.floats.map { $0 + 0.1 * (random.uniform() - 0.5) }, shape: [60])
        var whole = Agreement()
        try whole.add(x, y)
        let pairs = zip(x.floats, y.floats).map { (Double($0), Double($1)) }
        let signal = pairs.reduce(0) { $0 + $1.0 * $1.0 }
        let noise = pairs.reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
        // 10^(dB/10) is the ratio of the powers: 20 dB are a hundredfold.
        let decibels = try #require(whole.signalToNoise)
        #expect(abs(whole.reference - signal) < 1e-9 && abs(whole.error - noise) < 1e-9)
        #expect(decibels > 25 && decibels < 40)
        #expect(try #require(whole.cosine) > 0.99)
        var (first, second) = (Agreement(), Agreement())
        try first.add(Tensor(Array(x.floats[..<25]), shape: [25]), Tensor(Array(y.floats[..<25]), shape: [25]))
        try second.add(Tensor(Array(x.floats[25...]), shape: [35]), Tensor(Array(y.floats[25...]), shape: [35]))
        first.merge(second)
        #expect(abs(first.error - whole.error) < 1e-12 && abs(first.product - whole.product) < 1e-9)
        var exact = Agreement()
        try exact.add(x, x)
        let same = try #require(exact.cosine)
        #expect(exact.signalToNoise == 200 && abs(same - 1) < 1e-12)
        let hundredfold = try Agreement(reference: 100, error: 1, product: 0, other: 0)
        let twenty = try #require(hundredfold.signalToNoise)
        #expect(abs(twenty - 20) < 1e-12)
        #expect(Agreement().signalToNoise == nil && Agreement().cosine == nil)
        #expect(throws: CompressionError.self) {
            try exact.add(x, Tensor([Float](repeating: .nan, count: 60), shape: [60]))
        }
        #expect(throws: CompressionError.self) { try Agreement(reference: 1, error: 0, product: 3, other: 1) }
        #expect(throws: CompressionError.self) { try Agreement(reference: -1, error: 0, product: 0, other: 1) }
    }
}
