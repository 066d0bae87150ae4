import CKernels
import Tensors
import Testing

@testable import UpdateCodec

struct RoundTripTests {
    private func checkRoundTrip(_ tensors: NamedTensors, _ scheme: WireScheme, _ masks: MaskSet) throws -> EncodedUpdate
    {
        let header = Fixtures.header(maskEpoch: masks.epoch)
        let update = try UpdateEncoder.encode(tensors, header: header, scheme: scheme, masks: masks, seed: 11)
        let reader = try UpdateReader(update.bytes, layout: TensorLayout(tensors), masks: masks)
        #expect(reader.header == header)
        #expect(reader.newMasks == nil)
        let decoded = try reader.decode()
        #expect(decoded.names == tensors.names)
        #expect(Fixtures.bitPatterns(decoded) == Fixtures.bitPatterns(update.decoded), "\(scheme)")
        var norm = 0.0
        for (name, tensor) in tensors.ordered {
            #expect(decoded[name]?.shape == tensor.shape)
            let output = Fixtures.floats(decoded, name)
            let rest = Fixtures.floats(update.residual, name)
            for (index, input) in tensor.floats.enumerated() {
                norm += Double(output[index]) * Double(output[index])
                let isAlive = masks[name]?[index] ?? true
                // The residual is the float difference, bit for bit, and nothing is owed to the dead.
                #expect(rest[index].bitPattern == (isAlive ? input - output[index] : 0).bitPattern)
                if !isAlive { #expect(output[index] == 0) }
            }
        }
        #expect(abs(reader.squaredNorm() - norm) <= 1e-12 * norm)
        return update
    }

    @Test func everySchemeRoundTrips() throws {
        for (number, scheme) in Fixtures.schemes.enumerated() {
            let model = Fixtures.model(seed: UInt64(number))
            let update = try checkRoundTrip(model, scheme, MaskSet())
            #expect(update.bitsPerWeight == Double(update.bytes.count * 8) / Double(model.elementCount))
        }
    }

    @Test func everySchemeRoundTripsUnderMasks() throws {
        for (number, scheme) in Fixtures.schemes.enumerated() where number % 3 == 0 {
            let density: Float = [0, 0.05, 0.3, 0.9, 1][number % 5]
            _ = try checkRoundTrip(
                Fixtures.model(seed: UInt64(number)), scheme, Fixtures.masks(epoch: 4, density: density))
        }
    }

    @Test func integersKeepWithinHalfAStep() throws {
        for (format, levels) in [(ValueFormat.int8, 127), (.int6, 31), (.int4, 7)] as [(ValueFormat, Float)] {
            for scale in [0x1p-136, 1e-30, 1e-6, 1, 1e30] as [Float] {
                let values = Fixtures.bellShaped(1_000, seed: 2, scale: scale)
                let scheme = WireScheme(values: format, blockSize: 64, smallTensorElements: 0)
                let update = try checkRoundTrip(NamedTensors([("x", Fixtures.tensor(values))]), scheme, MaskSet())
                let rest = Fixtures.floats(update.residual, "x")
                for block in stride(from: 0, to: values.count, by: 64) {
                    let range = block..<min(block + 64, values.count)
                    let largest = range.map { values[$0].magnitude }.max() ?? 0
                    // The scale is rounded up to 11 bits, and never below the smallest denormal.
                    let step = Double(largest / levels) * (1 + 0x1p-10) + 0x1p-149
                    #expect(range.allSatisfy { Double(rest[$0].magnitude) <= step / 2 * (1 + 1e-6) })
                }
            }
        }
    }

    @Test func float16KeepsElevenBitsAtAnyMagnitude() throws {
        for scale in [1e-30, 1e-9, 1, 1e9, 1e30] as [Float] {
            let values = Fixtures.bellShaped(500, seed: 3, scale: scale)
            let scheme = WireScheme(values: .float16, smallTensorElements: 0)
            let update = try checkRoundTrip(NamedTensors([("x", Fixtures.tensor(values))]), scheme, MaskSet())
            let largest = values.map(\.magnitude).max() ?? 0
            for (value, rest) in zip(values, Fixtures.floats(update.residual, "x")) {
                #expect(rest.magnitude <= max(value.magnitude * 0x1p-11, largest * 0x1p-38))
            }
        }
    }

    @Test func ternaryKeepsSignsAndMeanMagnitudes() throws {
        let values = Fixtures.bellShaped(3_000, seed: 4)
        let scheme = WireScheme(
            selection: .topK(density: 0.1), values: .ternary, blockSize: 50, smallTensorElements: 0)
        let update = try checkRoundTrip(NamedTensors([("x", Fixtures.tensor(values))]), scheme, MaskSet())
        let decoded = Fixtures.floats(update.decoded, "x")
        let kept = decoded.indices.filter { decoded[$0] != 0 }
        #expect(kept.count == 300)
        #expect(update.density == 0.1)
        for start in stride(from: 0, to: kept.count, by: 50) {
            let block = kept[start..<start + 50]
            let mean = block.reduce(0) { $0 + Double(values[$1].magnitude) } / 50
            for index in block {
                #expect(decoded[index].sign == values[index].sign)
                #expect(abs(Double(decoded[index].magnitude) - mean) <= mean * 0x1p-10)
            }
        }
    }

    @Test func stochasticRoundingIsUnbiasedAndFollowsTheSeed() throws {
        let values = [Float](repeating: 0.3, count: 8_192) + [1]
        let tensors = NamedTensors([("x", Fixtures.tensor(values))])
        let scheme = WireScheme(values: .int4, blockSize: 10_000, rounding: .stochastic, smallTensorElements: 0)
        func decoded(_ seed: UInt64) throws -> [Float] {
            Fixtures.floats(
                try UpdateEncoder.encode(tensors, header: Fixtures.header(), scheme: scheme, seed: seed).decoded, "x")
        }
        let first = try decoded(1)
        #expect(try first == decoded(1))
        #expect(try first != decoded(2))
        // Codes 2 and 3 of 1/7: standard deviation of the mean is 0.0715/sqrt(8192) = 0.0008.
        let mean = first.dropLast().reduce(0, +) / 8_192
        #expect(abs(mean - 0.3) < 0.004)
        #expect(Set(first.dropLast()).count == 2)
    }

    @Test func extremeMagnitudesFallBackToFloat32() throws {
        let values: [Float] = [.greatestFiniteMagnitude, -1e38, 0x1p-149, 0, 2]
        for format in ValueFormat.allCases {
            let scheme = WireScheme(values: format, smallTensorElements: 0)
            let tensors = NamedTensors([("x", Fixtures.tensor(values))])
            let update = try checkRoundTrip(tensors, scheme, MaskSet())
            #expect(Fixtures.floats(update.residual, "x").allSatisfy { $0 == 0 })
        }
    }

    /// The largest values that are rotated, in the signs of the seed so that they add up, come out finite.
    @Test(arguments: [ValueFormat.int4, .int3, .int2, .sign, .codebook16])
    func theLargestRotatedValuesStayFinite(_ format: ValueFormat) throws {
        for exponent in 100...120 {
            let magnitude = Float(sign: .plus, exponent: exponent, significand: 1)
            var values = [Float](repeating: magnitude, count: 4_096)
            values.withUnsafeMutableBufferPointer { values in
                // The encoder's own signs: of the first tensor, for this seed of the update.
                var generator = SeededGenerator(seed: 11, labels: "update")
                let seed = generator.next() ^ ValueWriter.rotationStream
                pleach_random_signs(values.baseAddress, values.count, seed, 0, 1)
            }
            for scaling in [Scaling.largest, .automatic] {
                let scheme = WireScheme(
                    values: format, blockSize: 4_096, scaling: scaling, rotates: true, smallTensorElements: 0)
                let update = try checkRoundTrip(NamedTensors([("x", Fixtures.tensor(values))]), scheme, MaskSet())
                #expect(Fixtures.floats(update.decoded, "x").allSatisfy { $0.isFinite })
            }
        }
    }

    @Test func tiniestDenormalsSurviveEveryFormat() throws {
        // Half a step of the smallest number is no number, nor is the upper half of its bits.
        for format in ValueFormat.allCases where format != .int2 && format != .bfloat16 {
            let values = [Float](repeating: .leastNonzeroMagnitude, count: 9)
            let scheme = WireScheme(values: format, smallTensorElements: 0)
            let update = try checkRoundTrip(NamedTensors([("x", Fixtures.tensor(values))]), scheme, MaskSet())
            #expect(Fixtures.floats(update.decoded, "x") == values, "\(format)")
        }
    }

    @Test func nothingToSendCostsNothing() throws {
        let tensors = NamedTensors((0..<100).map { ("t\($0)", Tensor(zeros: [1_000])) })
        let update = try checkRoundTrip(tensors, WireScheme(), MaskSet())
        #expect(update.bytes.count < UpdateHeader.byteCount + 8)
        #expect(update.density == 0)
    }

    @Test func manyRunsOfEachPositionSchemeRoundTrip() throws {
        // More values than a run holds, so cursors are carried over, with and without a mask.
        let tensors = NamedTensors([("x", Fixtures.tensor(30_000, seed: 8))])
        let masks = MaskSet(epoch: 2, bitmaps: ["x": Fixtures.bitmap(30_000, density: 0.8, seed: 9)])
        for density in [0.15, 0.4, 0.85, 1] {
            for format in ValueFormat.allCases {
                let scheme = WireScheme(selection: .topK(density: density), values: format, blockSize: 33)
                for masks in [MaskSet(), masks] { _ = try checkRoundTrip(tensors, scheme, masks) }
            }
        }
    }

    @Test func badInputIsRefusedByName() throws {
        for bad in [Float.nan, .infinity, -.infinity] {
            var tensors = Fixtures.model(seed: 1)
            tensors["bias"] = Fixtures.tensor([1, bad, 2])
            #expect(throws: CodecError.notFinite(tensor: "bias")) {
                try UpdateEncoder.encode(tensors, header: Fixtures.header(), scheme: WireScheme())
            }
        }
        let integers = NamedTensors([("labels", Tensor([Int64(1)], shape: [1]))])
        #expect(throws: CodecError.notFloat32(tensor: "labels", found: .int64)) {
            try UpdateEncoder.encode(integers, header: Fixtures.header(), scheme: WireScheme())
        }
        let model = Fixtures.model(seed: 1)
        #expect(throws: CodecError.invalidBase(byteCount: 3)) {
            let header = UpdateHeader(kind: .update, base: [1, 2, 3], maskEpoch: 0)
            return try UpdateEncoder.encode(model, header: header, scheme: WireScheme())
        }
        #expect(throws: CodecError.wrongMaskEpoch(expected: 0, found: 3)) {
            try UpdateEncoder.encode(model, header: Fixtures.header(maskEpoch: 3), scheme: WireScheme())
        }
        for scheme in [
            WireScheme(blockSize: 0), WireScheme(selection: .topK(density: 0)),
            WireScheme(selection: .topK(density: .nan)),
            WireScheme(selection: .topK(density: 1.5)),
        ] {
            #expect(throws: CodecError.self) {
                try UpdateEncoder.encode(model, header: Fixtures.header(), scheme: scheme)
            }
        }
        let masks = MaskSet(bitmaps: ["bias": Bitmap(repeating: true, count: 3)])
        #expect(throws: CodecError.self) {
            try UpdateEncoder.encode(model, header: Fixtures.header(), scheme: WireScheme(), masks: masks)
        }
    }
}
