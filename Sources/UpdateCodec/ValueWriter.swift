import CKernels
import Tensors

/// Turns values into the bytes of a record behind its positions. Values are finite, and there are some.
struct ValueWriter {
    /// What a form byte says of values.
    struct Form: Equatable {
        var isRice = false
        var isRotated = false
    }

    /// Makes another random stream than that of stochastic rounding.
    static let rotationStream: UInt64 = 0x5851_f42d_4c95_7f2d

    let format: ValueFormat
    let scheme: WireScheme
    /// Start of the random stream of this tensor.
    let counter: UInt64
    /// Whether the values are the largest of many: then no code is near 0.
    let isSparse: Bool
    let force: WorkForce

    /// The format that can hold values up to `largest`.
    static func format(_ asked: ValueFormat, largest: Float) -> ValueFormat {
        largest > SharedExponent.largestMagnitude ? .float32 : asked
    }

    /// - Parameter survey: of these values, in the scheme's blocks, if somebody has it.
    func append(_ values: UnsafeBufferPointer<Float>, survey: BlockSurvey?, to bytes: inout [UInt8]) -> Form {
        let survey = survey ?? BlockSurvey(values, block: scheme.blockSize, force: force)
        guard scheme.rotates, format.takesRotation, survey.largest <= SharedExponent.largestRotated else {
            return appendAsTheyAre(values, survey, to: &bytes)
        }
        let seed = counter ^ Self.rotationStream
        bytes.appendLittleEndian(seed)
        var rotated = Array(values)
        rotated.withUnsafeMutableBufferPointer { Rotation(seed: seed).rotate($0, force: force) }
        return rotated.withUnsafeBufferPointer { values in
            let survey = BlockSurvey(values, block: scheme.blockSize, force: force)
            var form = appendAsTheyAre(values, survey, to: &bytes)
            form.isRotated = true
            return form
        }
    }

    private func appendAsTheyAre(
        _ values: UnsafeBufferPointer<Float>, _ survey: BlockSurvey, to bytes: inout [UInt8]
    ) -> Form {
        switch format {
        case .float32: bytes.append(contentsOf: UnsafeRawBufferPointer(values))
        case .bfloat16: appendPlain(values.count, to: &bytes) { pleach_to_bfloat(values.at($0), $0.count, $1) }
        case .float16:
            let exponent = SharedExponent.fitting(Double(survey.largest))
            bytes.append(UInt8(bitPattern: Int8(exponent)))
            let factor = SharedExponent.factor(-exponent)
            appendPlain(values.count, to: &bytes) { pleach_to_half(values.at($0), $0.count, factor, $1) }
        default: return appendScaled(values, survey, to: &bytes)
        }
        return Form()
    }

    private func appendScaled(
        _ values: UnsafeBufferPointer<Float>, _ survey: BlockSurvey, to bytes: inout [UInt8]
    ) -> Form {
        let scales = BlockScales(needs: needs(values, survey), block: scheme.blockSize)
        bytes.append(UInt8(bitPattern: Int8(scales.exponent)))
        bytes.appendVarint(scales.block)
        bytes += scales.halves
        if format.isInteger {
            let coder = IntegerCoder(
                values: values, scales: scales, format: format, rounding: rounding)
            return Form(isRice: append(coder, to: &bytes))
        }
        if format.isSigns {
            appendSigns(values, scales, to: &bytes)
        } else {
            let codebook =
                scheme.levels == .normalFloat
                ? Codebook.normalFloat(size: format.codebookSize)
                : Codebook.kMeans(
                    size: format.codebookSize, of: values, scales: scales,
                    reachesEnds: scheme.rounding == .stochastic)
            append(values, scales, codebook, to: &bytes)
        }
        return Form()
    }

    // MARK: Scales

    private var rounding: pleach_rounding {
        pleach_rounding(
            levels: Int32(format.levels), half_steps: format.hasHalfSteps, stochastic: scheme.rounding == .stochastic,
            counter: counter)
    }

    /// The scale each block needs.
    private func needs(_ values: UnsafeBufferPointer<Float>, _ survey: BlockSurvey) -> [Double] {
        precondition(survey.block == scheme.blockSize, "a survey in other blocks")
        let isMean = format == .ternary || format == .sign && scheme.rounding == .nearest
        guard isMean || scheme.clips(format) else {
            let reach = format.isInteger ? Double(format.levels) + (format.hasHalfSteps ? 0.5 : 0) : 1
            return survey.largestBits.map { Double(Float(bitPattern: $0)) / reach }
        }
        let block = scheme.blockSize
        let shares = force.shares(of: values.count, unit: block)
        return force.map(shares.count) { share in
            stride(from: shares[share].lowerBound, to: shares[share].upperBound, by: block).map { start in
                let count = min(block, values.count - start)
                let values = values.at(start..<start + count)
                if isMean { return pleach_sum_abs(values, count) / Double(count) }
                let largest = Float(bitPattern: survey.largestBits[start / block])
                guard largest > 0 else { return 0 }
                return pleach_least_squares_step(
                    values, count, largest, Int32(format.levels), format.hasHalfSteps)
            }
        }.flatMap { $0 }
    }

    // MARK: Codes

    /// Appends the field of plain codes, of which `write` makes the bytes of a run.
    private func appendPlain(
        _ count: Int, to bytes: inout [UInt8], _ write: (_ run: Range<Int>, _ out: UnsafeMutablePointer<UInt8>) -> Void
    ) {
        let place = bytes.count
        bytes.append(contentsOf: repeatElement(0, count: format.plainByteCount(count)))
        let shares = force.shares(of: count, unit: RiceCode.segmentLength)
        bytes.withUnsafeMutableBufferPointer { bytes in
            let target = SharedPointer(bytes.baseAddress)
            _ = force.map(shares.count) { share in
                guard let first = target.pointer.map({ $0 + place }) else { return }
                let end = shares[share].upperBound
                for start in stride(from: shares[share].lowerBound, to: end, by: RiceCode.segmentLength) {
                    // Runs are multiples of 8 long, so each begins at a byte.
                    write(
                        start..<min(start + RiceCode.segmentLength, end), first + start * format.bitCount / 8)
                }
            }
        }
    }

    /// - Returns: whether the codes are Rice-coded.
    private func append(_ coder: IntegerCoder, to bytes: inout [UInt8]) -> Bool {
        let count = coder.values.count
        let plainByteCount = format.plainByteCount(count)
        if let floor = floorForRice(coder, plainByteCount: plainByteCount) {
            let place = bytes.count
            bytes.append(UInt8(floor))
            RiceCode.append(count: count, force: force, to: &bytes) { run, bytes in
                coder.withFolded(run, floor: floor) { RiceCode.append($0, to: &bytes) }
            }
            if bytes.count - place < plainByteCount { return true }
            bytes.removeLast(bytes.count - place)
        }
        appendPlain(count, to: &bytes) { run, out in
            if format == .int8 {
                out.withMemoryRebound(to: Int8.self, capacity: run.count) { coder.quantize(run, into: $0) }
            } else {
                coder.withCodes(run) {
                    pleach_pack_codes($0.baseAddress, run.count, UInt32(format.bitCount), out)
                }
            }
        }
        return false
    }

    /// The floor with which Rice coding seems to pay, by a look at 64 segments or all; nil if it does not.
    private func floorForRice(_ coder: IntegerCoder, plainByteCount: Int) -> Int? {
        guard format.takesRice, scheme.coding != .plain else { return nil }
        let count = coder.values.count
        let segments = RiceCode.segmentCount(count)
        func run(_ segment: Int) -> Range<Int> {
            segment * RiceCode.segmentLength..<min(count, (segment + 1) * RiceCode.segmentLength)
        }
        var floor = 0
        if isSparse {
            let smallest = force.map(segments) { segment in
                coder.withCodes(run(segment)) { pleach_smallest_magnitude($0.baseAddress, $0.count) }
            }
            floor = Int(smallest.min() ?? 0)
        }
        var looked = 0
        var taken = 0
        for segment in stride(from: 0, to: segments, by: max(1, segments / 64)) {
            looked += run(segment).count
            taken += coder.withFolded(run(segment), floor: floor) { RiceCode.segment(of: $0).byteCount }
        }
        let expected = 1 + Int(Double(taken) * Double(count) / Double(looked))
        // Few values are read quickly, however they are coded.
        let isQuick = !isSparse && (format == .int8 || format == .int6)
        let limit = scheme.coding == .automatic && isQuick ? plainByteCount - plainByteCount / 8 : plainByteCount
        return expected < limit ? floor : nil
    }

    private func appendSigns(_ values: UnsafeBufferPointer<Float>, _ scales: BlockScales, to bytes: inout [UInt8]) {
        // Ternary sends the magnitudes' mean, which is no bound for stochastic signs.
        let isStochastic = scheme.rounding == .stochastic && format == .sign
        appendPlain(values.count, to: &bytes) { run, out in
            if isStochastic {
                pleach_sign_bits_stochastic(
                    values.at(run), run.count, scales.halves, scales.factor, scales.block, counter,
                    UInt64(run.lowerBound), out)
            } else {
                pleach_sign_bits(values.at(run), run.count, out)
            }
        }
    }

    private func append(
        _ values: UnsafeBufferPointer<Float>, _ scales: BlockScales, _ codebook: Codebook, to bytes: inout [UInt8]
    ) {
        bytes.append(UInt8(codebook.levels.count - 1))
        bytes += codebook.bytes
        func quantize(_ run: Range<Int>, _ out: UnsafeMutablePointer<UInt8>) {
            if scheme.rounding == .stochastic {
                pleach_quantize_levels_stochastic(
                    values.at(run), run.count, scales.halves, scales.factor, scales.block, run.lowerBound,
                    codebook.levels, codebook.levels.count, counter, out)
            } else {
                pleach_quantize_levels(
                    values.at(run), run.count, scales.halves, scales.factor, scales.block, run.lowerBound,
                    codebook.levels, codebook.levels.count, out)
            }
        }
        appendPlain(values.count, to: &bytes) { run, out in
            guard format != .codebook256 else { return quantize(run, out) }
            withUnsafeTemporaryAllocation(of: UInt8.self, capacity: run.count) { codes in
                guard let first = codes.baseAddress else { return }
                quantize(run, first)
                first.withMemoryRebound(to: Int8.self, capacity: run.count) {
                    pleach_pack_codes($0, run.count, UInt32(format.bitCount), out)
                }
            }
        }
    }
}
