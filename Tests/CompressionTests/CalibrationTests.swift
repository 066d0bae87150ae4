import ModelGraph
import Tensors
import Testing

@testable import Compression

private func gaussian(_ count: Int, seed: UInt64) -> [Float] {
    var random = SeededGenerator(seed: seed)
    return (0..<count).map { _ in (0..<12).reduce(Float(-6)) { sum, _ in sum + random.uniform() } }
}

private func histogram(_ values: [Float]) -> ActivationHistogram {
    var histogram = ActivationHistogram()
    let isFinite = values.withUnsafeBufferPointer { histogram.add($0) }
    #expect(isFinite)
    return histogram
}

@Test func manyWorkersGiveTheHistogramOfOneToTheBit() throws {
    let values = gaussian(5000, seed: 1)
    let whole = histogram(values)
    var random = SeededGenerator(seed: 2)
    for _ in 0..<10 {
        var parts = Array(repeating: [Float](), count: 4)
        for value in values.shuffled(using: &random) { parts[random.index(below: 4)].append(value) }
        var sum = ActivationHistogram()
        for part in parts.shuffled(using: &random) { try sum.merge(histogram(part)) }
        #expect(sum == whole)
    }
    #expect(abs(whole.mean - Double(values.reduce(0, +)) / 5000) < 1e-3)
}

@Test func whichZeroCameFirstDoesNotShow() throws {
    func bytes(_ parts: [[Float]]) throws -> [UInt8] {
        var whole = CalibrationSet(names: ["x"])
        for part in parts {
            var set = CalibrationSet(names: ["x"])
            try set.add(Tensor(part, shape: Shape([part.count])), name: "x")
            whole = try whole.merging(set)
        }
        return whole.serialized()
    }
    let expected = try bytes([[0, -0.0, 1]])
    #expect(try bytes([[-0.0, 0, 1]]) == expected)
    #expect(try bytes([[1, 0], [-0.0]]) == expected)
    #expect(try bytes([[-0.0], [0, 1]]) == expected)
}

/// Sums by hand, in pieces with and without values too large for 64-bit squares.
@Test func momentsAreExact() {
    let small = histogram([1.5, -0.25, 0x1p-20, 0])
    #expect(small.sum == 1_572_864 - 262_144 + 1)
    #expect(small.sumOfSquares == 1_572_864 * 1_572_864 + 262_144 * 262_144 + 1)
    // Half a unit rounds to even.
    #expect(histogram([0x1p-21]).sum == 0 && histogram([0x1.8p-20]).sum == 2 && histogram([-0x1.8p-20]).sum == -2)
    let large = histogram([Float](repeating: 0x1p29, count: 3000))
    #expect(large.sum == 3000 << 49 && large.sumOfSquares == 3000 << 98)
    #expect(large.mean == 0x1p29)
}

@Test func hugeSumsOfSquaresStopInsteadOfTrapping() throws {
    var sum = histogram([Float](repeating: 0x1.fp29, count: 4096))
    for _ in 0..<20 { try sum.merge(sum) }
    #expect(sum.sumOfSquares == .max && sum.count == 1 << 32)
    // The totals' bound is reached without a trap too.
    #expect(throws: CompressionError.self) { for _ in 0..<40 { try sum.merge(sum) } }
}

@Test func binsHoldWhatTheirEdgesSay() {
    var random = SeededGenerator(seed: 3)
    for _ in 0..<10_000 {
        let value = Float(bitPattern: UInt32(truncatingIfNeeded: random.next()) & 0x7fff_ffff)
        guard value.isFinite, value >= 0x1p-16, value < 0x1p16 else { continue }
        let edges = ActivationHistogram.edges(ActivationHistogram.bin(value.bitPattern))
        #expect(Double(value) >= edges.lower && Double(value) < edges.upper)
        #expect(edges.upper / edges.lower < 1.016)
    }
}

/// 256 copies of a normal sample, and one outlier at 40.
private func spread() throws -> ActivationHistogram {
    var sum = histogram(gaussian(20_000, seed: 5))
    for _ in 0..<8 { try sum.merge(sum) }
    try sum.merge(histogram([40]))
    return sum
}

@Test func rangesOfKnownDistributions() throws {
    let normal = histogram(gaussian(20_000, seed: 4))
    let full = normal.range(.minMax)
    #expect(full.low == Double(normal.minimum) && full.high == Double(normal.maximum))
    let cut = normal.range(.percentile(99))
    #expect(abs(cut.high - 2.576) < 0.15 && abs(cut.low + 2.576) < 0.15, "99 % of a normal lies within 2.576 sigma")
    // One value in five million lies ten times beyond the rest: not worth coarser steps for all others.
    let heavy = try spread()
    for method in [CalibrationMethod.meanSquaredError, .entropy] {
        let range = heavy.range(method)
        #expect(range.high < 12 && range.high > 2.5, "\(method) clips the outlier, not the bulk: \(range)")
    }
    let rectified = histogram(gaussian(20_000, seed: 6).map { max(0, $0) })
    for method in [CalibrationMethod.minMax, .percentile(99.9), .entropy, .meanSquaredError] {
        #expect(rectified.range(method).low == 0)
    }
}

@Test func percentilesAreWithinABinOfTheExactQuantiles() {
    let values = gaussian(20_000, seed: 14)
    let summary = histogram(values)
    let sorted = values.map(Double.init).sorted()
    for percentile in [50, 90, 99, 99.9, 99.99] {
        let tail = (100 - percentile) / 200
        let range = summary.range(.percentile(percentile))
        let exact = (sorted[Int(tail * 20_000)], sorted[min(19_999, Int((1 - tail) * 20_000))])
        #expect(abs(range.low - exact.0) <= abs(exact.0) / 64 && abs(range.high - exact.1) <= exact.1 / 64)
    }
}

@Test func valuesBeyondTheBinsKeepTheirRange() {
    let values: [Float] = [-0x1p20, -1e-9, 1e-9, 0x1p18]
    let summary = histogram(values)
    for method in [CalibrationMethod.minMax, .percentile(100), .meanSquaredError] {
        let range = summary.range(method)
        #expect(range.low <= -0x1p19 && range.high >= 0x1p17, "\(method) \(range)")
    }
    #expect(summary.range(.percentile(100)) == (-0x1p20, 0x1p18))
}

@Test func aFarOutlierIsCutByAnyMethodThatClips() throws {
    // 64 million values of at most 1, all positive, and one at 1,000.
    var random = SeededGenerator(seed: 13)
    var sum = histogram((0..<15_625).map { _ in random.uniform() })
    for _ in 0..<12 { try sum.merge(sum) }
    try sum.merge(histogram([1000]))
    for method in [CalibrationMethod.percentile(99.999), .entropy] {
        let range = sum.range(method)
        #expect(range.low == 0 && range.high > 0.9 && range.high < 1.2, "\(method) \(range)")
    }
    // Least squares weighs 64·10^6 errors of (h/255)²/12 against one of (1000 − h)²: least at h = 1000/83.
    let range = sum.range(.meanSquaredError)
    #expect(range.low == 0 && range.high > 9 && range.high < 16, "\(range)")
}

@Test func constantsAndZerosHaveUsableRanges() {
    for (values, expected) in [([0, 0], (0, 0)), ([3, 3], (0, 3)), ([-2], (-2, 0))] as [([Float], (Double, Double))] {
        let summary = histogram(values)
        for method in [CalibrationMethod.minMax, .percentile(99), .entropy, .meanSquaredError] {
            let range = summary.range(method)
            #expect(range.low >= expected.0 && range.high <= expected.1)
            let quantization = ActivationQuantization(low: range.low, high: range.high)
            for value in values {
                let code = min(max((value / quantization.scale).rounded() + Float(quantization.zeroPoint), 0), 255)
                let restored = (code - Float(quantization.zeroPoint)) * quantization.scale
                #expect(abs(restored - value) <= 0.02 * abs(value), "\(method) \(value) becomes \(restored)")
            }
        }
    }
    #expect(ActivationHistogram().range(.entropy) == (0, 0))
}

@Test func leastSquaresBeatsMinMaxOnAnOutlier() throws {
    let summary = try spread()
    let values = gaussian(20_000, seed: 5)
    func error(_ range: (low: Double, high: Double)) -> Double {
        let quantization = ActivationQuantization(low: range.low, high: range.high)
        let (scale, zero) = (Double(quantization.scale), Double(quantization.zeroPoint))
        func squared(_ value: Double) -> Double {
            let code = min(max((value / scale).rounded() + zero, 0), 255)
            let difference = (code - zero) * scale - value
            return difference * difference
        }
        return values.reduce(squared(40)) { $0 + 256 * squared(Double($1)) }
    }
    #expect(error(summary.range(.meanSquaredError)) < 0.5 * error(summary.range(.minMax)))
}

@Test func zeroIsAlwaysExact() {
    for (low, high) in [(-1.0, 2.0), (0, 6), (-3, 0), (0, 0), (-1e-30, 1e-30), (-1e20, 3)] {
        let quantization = ActivationQuantization(low: low, high: high)
        #expect(quantization.scale > 0 && quantization.scale.isNormal)
        let zero = (0 / quantization.scale).rounded() + Float(quantization.zeroPoint)
        #expect((zero - Float(quantization.zeroPoint)) * quantization.scale == 0)
    }
}

@Test func setsSurviveTheWireAndNothingElseDoes() throws {
    var set = CalibrationSet(names: ["x", "empty", "y"])
    try set.add(Tensor(gaussian(500, seed: 8), shape: [500]), name: "x")
    try set.add(Tensor(gaussian(300, seed: 9), shape: [300]), name: "y")
    let bytes = set.serialized()
    #expect(try CalibrationSet(parsing: bytes, expecting: set.names) == set)
    for length in 0..<bytes.count {
        #expect(throws: CompressionError.self) {
            try CalibrationSet(parsing: Array(bytes[..<length]), expecting: set.names)
        }
    }
    #expect(throws: CompressionError.self) { try CalibrationSet(parsing: bytes + [0], expecting: set.names) }
    #expect(throws: CompressionError.self) { try CalibrationSet(parsing: bytes, expecting: ["x"]) }
    var random = SeededGenerator(seed: 10)
    for _ in 0..<5000 {
        var mutated = bytes
        mutated[random.index(below: bytes.count)] = UInt8(truncatingIfNeeded: random.next())
        // Valid or an error; merging what is valid never traps either.
        if let parsed = try? CalibrationSet(parsing: mutated, expecting: set.names) {
            _ = try? set.merging(parsed).histograms.map { $0.range(.percentile(99)) }
            #expect(parsed.serialized() == mutated, "one set, one spelling")
        }
    }
}

@Test func liesThatAddUpAreFoundOut() throws {
    func refused(_ change: (inout ActivationHistogram) -> Void) -> Bool {
        var lie = histogram([-1, 0.5, 2])
        change(&lie)
        let bytes = CalibrationSet(names: ["x"], histograms: [lie]).serialized()
        return (try? CalibrationSet(parsing: bytes, expecting: ["x"])) == nil
    }
    #expect(!refused { _ in })
    #expect(refused { $0.minimum = -3e38 }, "a range that no bin confirms would ruin the whole fleet's scale")
    #expect(refused { $0.maximum = 100 })
    #expect(refused { $0.maximum = .nan })
    #expect(refused { $0.minimum = 3 })
    #expect(refused { $0.sum = 1 << 100 })
    #expect(refused { $0.sum = -(1 << 22) })
    #expect(refused { $0.sumOfSquares = -1 })
    // Sets about other tensors, in number, name or order.
    let set = CalibrationSet(names: ["x", "y"])
    for names in [["x"], ["x", "z"], ["y", "x"], ["x", "y", "z"], ["x", "yy"]] {
        #expect(throws: CompressionError.self) { try CalibrationSet(parsing: set.serialized(), expecting: names) }
    }
    #expect(throws: CompressionError.self) { try set.merging(CalibrationSet(names: ["y", "x"])) }
}

@Test func activationsThatAreNotFiniteAreNamed() {
    var set = CalibrationSet(names: ["layer"])
    #expect(throws: CompressionError.activationsNotFinite(tensor: "layer")) {
        try set.add(Tensor([1, .infinity] as [Float], shape: [2]), name: "layer")
    }
    for value: Float in [.nan, -Float.infinity, 0x1p30, -0x1p30] {
        #expect(throws: CompressionError.self) {
            try set.add(Tensor([1, value] as [Float], shape: [2]), name: "layer")
        }
    }
    #expect(set == CalibrationSet(names: ["layer"]), "nothing of a refused batch is counted")
}

@Test func weightsErrByHalfAStepAndZerosStay() throws {
    var random = SeededGenerator(seed: 11)
    let values = (0..<60).map { index in index % 5 == 0 ? 0 : (random.uniform() - 0.5) * Float(index) }
    for axis in 0..<3 {
        let tensor = Tensor(values, shape: [3, 4, 5])
        let quantized = try WeightQuantizer.perChannelInt8(tensor, axis: axis, name: "w")
        let codes = quantized.values.elements(as: Int8.self)
        let inner = tensor.shape.dimensions[(axis + 1)...].reduce(1, *)
        for (index, value) in values.enumerated() {
            let scale = quantized.scales[index / inner % tensor.shape[axis]]
            #expect(abs(Float(codes[index]) * scale - value) <= scale * 0.5001)
            if value == 0 { #expect(codes[index] == 0) }
        }
    }
}

@Test func unknownMethodsAreNamedWithTheNearest() {
    #expect {
        try CalibrationMethod.named("percentil", percentile: 99)
    } throws: { "\($0)".contains("'percentile'") }
    #expect(throws: CompressionError.self) { try CalibrationMethod.named("percentile", percentile: 20) }
}
