import CKernels
import Tensors

/// One tensor's way through selection, quantization and coding.
struct TensorEncoder {
    /// A share of magnitudes below which ternary drops an alive value even though all may be sent: 0.7 of the mean
    /// magnitude is near the least squared error for weights of one scale (Li, Zhang, Liu 2016, equation 6).
    static let ternaryThreshold = 0.7

    struct Record {
        var alive: Int
        /// Ranks, among the alive, of the values sent, ascending; nil for all of them.
        var chosen: [UInt32]?
        var positions = PositionScheme.dense
        var positionBytes: [UInt8] = []
        var values: CodedValues

        var kept: Int { chosen?.count ?? alive }
    }

    struct Result {
        /// nil when nothing needs to be sent.
        var record: Record?
        /// As far as they were asked for.
        var decoded: Tensor?
        var residual: Tensor?
    }

    let name: String
    let mask: Bitmap?
    let scheme: WireScheme

    /// What one pass over a tensor tells.
    private struct Survey {
        /// The largest magnitude's bit pattern; infinite or NaN if any element is.
        var largestBits: UInt32
        var nonzero = 0

        init(of tensor: borrowing Tensor) {
            var nonzero = 0
            largestBits = tensor.withElements(as: Float.self) { pleach_survey($0.baseAddress, $0.count, &nonzero) }
            self.nonzero = nonzero
        }
    }

    /// Codes one tensor and appends its record to `bytes`, as that of tensor `index` behind that of tensor `previous`.
    /// A tensor that nobody else holds becomes its own residual in place.
    func encode(
        _ tensor: consuming Tensor, counter: UInt64, index: Int = 0, after previous: Int = -1, keeping: CodedParts,
        to bytes: inout [UInt8]
    ) throws(CodecError) -> Result {
        guard tensor.elementType == .float32 else { throw .notFloat32(tensor: name, found: tensor.elementType) }
        var survey = Survey(of: tensor)
        guard survey.largestBits < 0x7f80_0000 else { throw .notFinite(tensor: name) }
        let shape = tensor.shape
        // Moved, not shared, so that the residual can take the elements' place.
        var alive = gatherAlive(tensor)
        if mask != nil { survey = Survey(of: alive) }
        guard
            let record = code(
                alive, survey, counter: counter, elements: shape.elementCount, index, previous, to: &bytes)
        else {
            func zeros(_ part: CodedParts) -> Tensor? { keeping.contains(part) ? Tensor(zeros: shape) : nil }
            return Result(record: nil, decoded: zeros(.decoded), residual: zeros(.residual))
        }
        var result = Result(record: record)
        if keeping.contains(.decoded) { result.decoded = spread(decoded(record, alive), shape: shape) }
        if keeping.contains(.residual) {
            subtractSent(record, from: &alive)
            result.residual = spread(alive, shape: shape)
        }
        return result
    }

    /// nil when all is zero and nothing was written.
    private func code(
        _ alive: Tensor, _ survey: Survey, counter: UInt64, elements: Int, _ index: Int, _ previous: Int,
        to bytes: inout [UInt8]
    ) -> Record? {
        alive.withElements(as: Float.self) { alive in
            guard survey.largestBits != 0 else { return nil }
            let isSmall = alive.count <= scheme.smallTensorElements
            let format = isSmall ? scheme.smallValues : scheme.values
            let coder = ValueCoder(
                format: format, blockSize: scheme.blockSize, rounding: scheme.rounding, counter: counter)
            let chosen = choose(alive, survey, selection: isSmall ? .dense : scheme.selection, format: format)
            func write(_ values: UnsafeBufferPointer<Float>) -> Record {
                var record = Record(alive: alive.count, chosen: chosen, values: coder.code(values))
                if let chosen {
                    let subset = CodedSubset(chosen, domain: alive.count)
                    (record.positions, record.positionBytes) = (subset.scheme, subset.bytes)
                }
                TensorRecord.writeHead(of: record, index: index, after: previous, elements: elements, to: &bytes)
                bytes += record.positionBytes
                record.values.write(values, to: &bytes)
                return record
            }
            guard let chosen else { return write(alive) }
            return chosen.map { alive[Int($0)] }.withUnsafeBufferPointer { write($0) }
        }
    }

    /// Ranks, among the alive, of the values to send, ascending; nil for all of them.
    private func choose(
        _ alive: UnsafeBufferPointer<Float>, _ survey: Survey, selection: Selection, format: ValueFormat
    ) -> [UInt32]? {
        let chosen: [UInt32]
        switch selection {
        case .topK(let density):
            let count = max(1, Int((density * Double(alive.count)).rounded()))
            chosen = MagnitudeSelection.largest(count, of: alive)
        case .dense where format == .ternary:
            let mean = pleach_sum_abs(alive.baseAddress, alive.count) / Double(alive.count)
            // Among the smallest denormals the threshold can round up to the largest magnitude; that one stays.
            let largest = Float(bitPattern: survey.largestBits)
            let threshold = min(Float(Self.ternaryThreshold * mean), largest.nextDown)
            chosen = MagnitudeSelection.above(magnitude: threshold, of: alive)
        case .dense:
            // Where most values are 0, a bitmap and the others cost less than all.
            let nonzero = survey.nonzero
            guard nonzero * format.bitCount + alive.count < alive.count * format.bitCount else { return nil }
            chosen = MagnitudeSelection.nonzero(alive)
        }
        return chosen.count == alive.count ? nil : chosen
    }

    /// The alive elements as every receiver will see them, 0 where nothing is sent.
    private func decoded(_ record: Record, _ alive: Tensor) -> Tensor {
        guard record.chosen != nil else {
            if record.values.format == .float32 { return alive }
            return Tensor(float32: alive.shape) { record.values.decode(from: 0, into: $0) }
        }
        return alive.withElements(as: Float.self) { alive in
            Tensor(float32: [alive.count]) { target in
                target.initialize(repeating: 0)
                Self.forEachRun(record, alive) { values, ranks, _ in
                    guard let ranks else { return }
                    for (value, rank) in zip(values, ranks) { target[Int(rank)] = value }
                }
            }
        }
    }

    /// Input − decoded, in place. What was not sent is owed in full.
    private func subtractSent(_ record: Record, from alive: inout Tensor) {
        alive.withMutableElements(as: Float.self) { alive in
            Self.forEachRun(record, UnsafeBufferPointer(alive)) { values, ranks, start in
                guard let ranks else {
                    guard let target = alive.baseAddress.map({ $0 + start }) else { return }
                    pleach_subtract(target, values.baseAddress, target, values.count)
                    return
                }
                for (value, rank) in zip(values, ranks) { alive[Int(rank)] -= value }
            }
        }
    }

    /// Decodes what was coded of `alive` a run at a time: the values, and their ranks unless they follow one another
    /// from `start` on. A run is decoded from the elements of that run alone, which the caller may then change.
    private static func forEachRun(
        _ record: Record, _ alive: UnsafeBufferPointer<Float>,
        _ visit: (_ values: UnsafeBufferPointer<Float>, _ ranks: ArraySlice<UInt32>?, _ start: Int) -> Void
    ) {
        let runLength = 4096
        withUnsafeTemporaryAllocation(of: Float.self, capacity: min(runLength, record.kept)) { scratch in
            for start in stride(from: 0, to: record.kept, by: runLength) {
                let count = min(runLength, record.kept - start)
                let run = UnsafeMutableBufferPointer(rebasing: scratch[..<count])
                let ranks = record.chosen?[start..<start + count]
                if record.values.format != .float32 {
                    record.values.decode(from: start, into: run)
                } else if let ranks {
                    for (place, rank) in ranks.enumerated() { run[place] = alive[Int(rank)] }
                } else {
                    _ = run.update(fromContentsOf: alive[start..<start + count])
                }
                visit(UnsafeBufferPointer(run), ranks, start)
            }
        }
    }

    private func gatherAlive(_ tensor: consuming Tensor) -> Tensor {
        guard let mask else { return tensor }
        return Tensor(float32: [mask.populationCount]) { out in
            let count = tensor.withElements(as: Float.self) {
                pleach_gather_ones($0.baseAddress, mask.bytes, mask.count, out.baseAddress)
            }
            precondition(count == out.count, "a mask's population count is wrong")
        }
    }

    /// Puts alive elements in their places; the dead are 0.
    private func spread(_ alive: consuming Tensor, shape: Shape) -> Tensor {
        guard let mask else { return alive }
        var tensor = Tensor(zeros: shape)
        let indices = CodedSubset.members(of: mask.bytes, domain: mask.count)
        tensor.withMutableElements(as: Float.self) { target in
            alive.withElements(as: Float.self) { alive in
                for (value, index) in zip(alive, indices) { target[Int(index)] = value }
            }
        }
        return tensor
    }
}
