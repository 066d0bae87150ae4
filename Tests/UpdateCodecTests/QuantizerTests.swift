import Tensors
import Testing

@testable import UpdateCodec

/// What the formats of few bits promise: no bias, and the error they are chosen for.
struct QuantizerTests {
    private static func scheme(_ values: ValueFormat, _ change: (inout WireScheme) -> Void = { _ in }) -> WireScheme {
        var scheme = WireScheme(values: values, smallTensorElements: 0)
        change(&scheme)
        return scheme
    }

    private static func decoded(_ values: [Float], _ scheme: WireScheme, seed: UInt64 = 1) throws -> [Float] {
        let update = try UpdateEncoder.encode(
            NamedTensors([("x", Fixtures.tensor(values))]), header: Fixtures.header(), scheme: scheme, seed: seed)
        return Fixtures.floats(update.decoded, "x")
    }

    private static func relativeError(_ values: [Float], _ scheme: WireScheme) throws -> Double {
        var error = 0.0
        var total = 0.0
        for (value, output) in zip(values, try decoded(values, scheme)) {
            error += Double(value - output) * Double(value - output)
            total += Double(value) * Double(value)
        }
        return error / total
    }

    /// Few large values, many small ones: what a rotation is for.
    private static func heavyTailed(_ count: Int) -> [Float] {
        let values = Fixtures.bellShaped(count, seed: 12)
        return values.map { $0 * $0 * $0 * $0 * $0 }
    }

    @Test(arguments: [ValueFormat.codebook16, .codebook256])
    func stochasticRoundingToFittedLevelsHasNoBias(_ format: ValueFormat) throws {
        try checkBias(format, levels: .kMeans)
    }

    @Test(arguments: [ValueFormat.int8, .int6, .int4, .int3, .int2, .sign, .codebook16, .codebook256])
    func stochasticRoundingHasNoBias(_ format: ValueFormat) throws {
        try checkBias(format, levels: .normalFloat)
    }

    private func checkBias(_ format: ValueFormat, levels: CodebookLevels) throws {
        let values = Fixtures.bellShaped(60, seed: 3) + [0, 2.5, -2.5, 1e-3]
        for rotates in [false, true] where !rotates || format.takesRotation {
            let scheme = Self.scheme(format) {
                ($0.rounding, $0.rotates, $0.levels) = (.stochastic, rotates, levels)
            }
            // Each value many times in each trial; a rotation would mix them.
            let (trials, copies) = rotates ? (150, 1) : (10, 40)
            let all = (0..<copies).flatMap { _ in values }
            let draws = Double(trials * copies)
            var sums = [Double](repeating: 0, count: values.count)
            var squares = sums
            for trial in 0..<trials {
                for (place, output) in try Self.decoded(all, scheme, seed: UInt64(trial)).enumerated() {
                    sums[place % values.count] += Double(output)
                    squares[place % values.count] += Double(output) * Double(output)
                }
            }
            // Each value's mean, in its own standard errors: none is far off, and their squares average to 1.
            var chi = 0.0
            for index in values.indices {
                let mean = sums[index] / draws
                let variance = max(squares[index] / draws - mean * mean, 1e-12)
                let deviation = (mean - Double(values[index])) / (variance / draws).squareRoot()
                // Where nearly all draws are equal their spread says little.
                #expect(abs(deviation) < 5 || abs(mean - Double(values[index])) < 3e-3, "\(format) \(index)")
                if variance > 1e-5 { chi += deviation * deviation / Double(values.count) }
            }
            #expect(chi < 1.6)
        }
    }

    /// The worst of a stochastic code is one step, of a nearest one half a step.
    @Test func nearestRoundingIsTwiceAsClose() throws {
        let values = Fixtures.bellShaped(20_000, seed: 5)
        let nearest = try Self.relativeError(values, Self.scheme(.int8))
        let stochastic = try Self.relativeError(values, Self.scheme(.int8) { $0.rounding = .stochastic })
        #expect(abs(stochastic / nearest - 2) < 0.1)
    }

    @Test func leastSquaresScalesLoseLess() throws {
        let values = Fixtures.bellShaped(50_000, seed: 6)
        for format in [ValueFormat.int4, .int3, .int2] {
            let largest = try Self.relativeError(values, Self.scheme(format) { $0.scaling = .largest })
            let best = try Self.relativeError(values, Self.scheme(format) { $0.scaling = .leastSquares })
            #expect(best < 0.98 * largest, "\(format): \(best) of \(largest)")
        }
        // Automatic is least squares for three bits and fewer.
        let automatic = try Self.relativeError(values, Self.scheme(.int3))
        #expect(try automatic == Self.relativeError(values, Self.scheme(.int3) { $0.scaling = .leastSquares }))
    }

    /// Uniform quantizers of normal values at their best (Max 1960, table II): 0.1188 for 4 levels, 0.03744 for 8.
    @Test func fewBitsComeNearTheUniformOptimum() throws {
        let values = Fixtures.bellShaped(100_000, seed: 7)
        #expect(try Self.relativeError(values, Self.scheme(.int2)) < 0.125)
        // Seven levels of int3.
        #expect(try Self.relativeError(values, Self.scheme(.int3)) < 0.05)
    }

    /// On values of any shape a rotation leaves the error it would have on normal ones.
    @Test(arguments: [ValueFormat.int4, .int3, .int2, .sign, .codebook16])
    func rotationHelpsWhereValuesAreNotNormal(_ format: ValueFormat) throws {
        let heavy = Self.heavyTailed(40_000)
        let plain = try Self.relativeError(heavy, Self.scheme(format))
        let rotated = try Self.relativeError(heavy, Self.scheme(format) { $0.rotates = true })
        let normal = try Self.relativeError(
            Fixtures.bellShaped(40_000, seed: 13), Self.scheme(format) { $0.rotates = true })
        #expect(abs(rotated / normal - 1) < 0.1, "\(format): \(rotated), normal \(normal)")
        if format == .sign || format == .int2 { #expect(rotated < 0.8 * plain) }
    }

    /// DRIVE's figure: 1 bit leaves 1 − 2/π of normal values (Vargaftik et al. 2021, section 4.2), whatever the input.
    @Test func oneRotatedBitLeavesOneMinusTwoOverPi() throws {
        let scheme = Self.scheme(.sign) { ($0.rotates, $0.blockSize) = (true, 4096) }
        let error = try Self.relativeError(Self.heavyTailed(40_960), scheme)
        #expect(abs(error - (1 - 2 / Double.pi)) < 0.01)
    }

    @Test func kMeansLosesLessThanQuantiles() throws {
        let heavy = Fixtures.bellShaped(60_000, seed: 9).map { $0 * abs($0) }
        for format in [ValueFormat.codebook16, .codebook256] {
            let quantiles = try Self.relativeError(heavy, Self.scheme(format))
            let fitted = try Self.relativeError(heavy, Self.scheme(format) { $0.levels = .kMeans })
            #expect(fitted < 0.9 * quantiles, "\(format)")
        }
        // Panter and Dite's limit for 256 levels of normal values is 2.72 / 256²; uniform steps to the largest lose more.
        let normal = Fixtures.bellShaped(200_000, seed: 14)
        let fitted = try Self.relativeError(normal, Self.scheme(.codebook256) { $0.levels = .kMeans })
        #expect(fitted < 4.6e-5)
        #expect(try fitted < Self.relativeError(normal, Self.scheme(.int8)))
    }

    /// QLoRA's published levels (Dettmers et al. 2023, appendix E), as binary16 holds them.
    @Test func normalFloatLevelsAreThePublishedOnes() {
        let published: [Float] = [
            -1, -0.6961928, -0.52507305, -0.3949175, -0.28444138, -0.18477343, -0.09105004, 0, 0.0795803, 0.1609302,
            0.2461123, 0.33791524, 0.44070983, 0.562617, 0.72295684, 1,
        ]
        let levels = Codebook.normalFloat(size: 16).levels
        #expect(levels.count == 16)
        for (level, value) in zip(levels, published) { #expect(abs(level - value) <= max(abs(value) * 0x1p-10, 1e-6)) }
        let fine = Codebook.normalFloat(size: 256).levels
        #expect(fine.count == 256 && fine.first == -1 && fine.last == 1 && fine.contains(0))
        #expect(zip(fine, fine.dropFirst()).allSatisfy { $0 < $1 })
    }

    @Test func halvesAndBytesBeatTheFiguresOfOthers() throws {
        // hivemind's tests allow a mean squared error of 5e-8 for float16 and 8e-4 for 8 bits, on unit normal values.
        let values = Fixtures.bellShaped(100_000, seed: 10)
        let power = values.reduce(0) { $0 + Double($1) * Double($1) } / Double(values.count)
        #expect(try Self.relativeError(values, Self.scheme(.float16)) * power < 5e-8)
        #expect(try Self.relativeError(values, Self.scheme(.int8)) * power < 8e-5)
        #expect(try Self.relativeError(values, Self.scheme(.codebook256)) * power < 8e-4)
    }
}

/// Any number of threads gives the same bytes, and reads them the same.
struct ThreadTests {
    @Test(arguments: ValueFormat.allCases) func bytesDoNotDependOnThreads(_ format: ValueFormat) throws {
        // More than a share of what threads deal out.
        let count = RecordRuns.shareUnit + 70_001
        let tensors = NamedTensors([("x", Fixtures.tensor(count, seed: 3)), ("y", Fixtures.tensor(900, seed: 4))])
        let layout = TensorLayout(tensors)
        let mask = MaskSet(epoch: 1, bitmaps: ["x": Fixtures.bitmap(count, density: 0.9, seed: 5)])
        var schemes: [WireScheme] = []
        for selection in [Selection.dense, .topK(density: 0.3), .topK(density: 0.9)] {
            schemes.append(WireScheme(selection: selection, values: format, coding: .smallest, rotates: true))
        }
        schemes.append(
            WireScheme(
                selection: .topK(density: 0.5, method: .threshold), values: format, rounding: .stochastic,
                levels: .kMeans, coding: .plain))
        schemes.append(
            WireScheme(selection: .topK(density: 0.02, method: .block), values: format, coding: .plain))
        for (number, scheme) in schemes.enumerated() {
            let masks = number % 2 == 0 ? MaskSet() : mask
            let header = Fixtures.header(maskEpoch: masks.epoch)
            let alone = try UpdateEncoder.encode(tensors, header: header, scheme: scheme, masks: masks, seed: 8)
            let together = try UpdateEncoder.encode(
                tensors, header: header, scheme: scheme, masks: masks, seed: 8, threads: 3)
            #expect(alone.bytes == together.bytes)
            #expect(alone.residual == together.residual)
            var means: [NamedTensors] = []
            for threads in [1, 2] {
                let reader = try UpdateReader(alone.bytes, layout: layout, masks: masks, threads: threads)
                var fold = FoldAccumulator(layout: layout)
                try fold.add(reader, weight: 3, threads: threads)
                means.append(fold.mean())
                #expect(try reader.decode() == alone.decoded)
                #expect(
                    reader.squaredNorm() == (try UpdateReader(alone.bytes, layout: layout, masks: masks)).squaredNorm())
            }
            #expect(means.allSatisfy { $0 == means[0] })
        }
    }
}
