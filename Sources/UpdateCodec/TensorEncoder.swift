import CKernels
import Tensors

/// One tensor's way through selection, quantization and coding.
struct TensorEncoder {
    /// A share of magnitudes below which ternary drops an alive value even though all may be sent: 0.7 of the mean
    /// magnitude is near the least squared error for weights of one scale (Li, Zhang, Liu 2016, equation 6).
    static let ternaryThreshold = 0.7

    struct Record {
        var alive: Int
        var kept: Int
        var positions: PositionScheme
        var positionBytes: [UInt8]
        var values: CodedValues

        func write(index: Int, after previous: Int, elements: Int, to bytes: inout [UInt8]) {
            TensorRecord.writeHead(
                index: index, after: previous, elements: elements, alive: alive, kept: kept, positions: positions,
                values: values, to: &bytes)
            bytes += positionBytes
            bytes += values.bytes
        }
    }

    struct Result {
        /// nil when nothing needs to be sent.
        var record: Record?
        var decoded: Tensor
        var residual: Tensor
    }

    let name: String
    let mask: Bitmap?
    let scheme: WireScheme

    func encode(_ tensor: Tensor, counter: UInt64) throws(CodecError) -> Result {
        guard tensor.elementType == .float32 else { throw .notFloat32(tensor: name, found: tensor.elementType) }
        let isFinite = tensor.withElements(as: Float.self) {
            pleach_absmax_bits($0.baseAddress, $0.count) < 0x7f80_0000
        }
        guard isFinite else { throw .notFinite(tensor: name) }
        return tensor.withElements(as: Float.self) { input in
            guard let mask else { return encode(alive: input, shape: tensor.shape, counter: counter) }
            let count = mask.populationCount
            let alive = [Float](unsafeUninitializedCapacity: count) { buffer, filled in
                filled = pleach_gather_ones(input.baseAddress, mask.bytes, mask.count, buffer.baseAddress)
            }
            return alive.withUnsafeBufferPointer { encode(alive: $0, shape: tensor.shape, counter: counter) }
        }
    }

    private func encode(alive: UnsafeBufferPointer<Float>, shape: Shape, counter: UInt64) -> Result {
        guard pleach_absmax_bits(alive.baseAddress, alive.count) != 0 else {
            let zeros = Tensor(zeros: shape)
            return Result(record: nil, decoded: zeros, residual: zeros)
        }
        let isSmall = alive.count <= scheme.smallTensorElements
        let format = isSmall ? scheme.smallValues : scheme.values
        let coder = ValueCoder(format: format, blockSize: scheme.blockSize, rounding: scheme.rounding, counter: counter)
        var record = Record(
            alive: alive.count, kept: alive.count, positions: .dense, positionBytes: [],
            values: CodedValues(format: format))
        let chosen = choose(alive, selection: isSmall ? .dense : scheme.selection, format: format)
        if let chosen {
            let values = chosen.map { alive[Int($0)] }
            record.values = values.withUnsafeBufferPointer { coder.code($0) }
            let subset = CodedSubset(chosen, domain: alive.count)
            (record.kept, record.positions, record.positionBytes) = (chosen.count, subset.scheme, subset.bytes)
        } else {
            record.values = coder.code(alive)
        }
        return result(record, chosen: chosen, alive: alive, shape: shape)
    }

    /// Ranks, among the alive, of the values to send, ascending; nil for all of them.
    private func choose(
        _ alive: UnsafeBufferPointer<Float>, selection: Selection, format: ValueFormat
    ) -> [UInt32]? {
        let chosen: [UInt32]
        switch selection {
        case .topK(let density):
            let count = max(1, Int((density * Double(alive.count)).rounded()))
            chosen = MagnitudeSelection.largest(count, of: alive)
        case .dense where format == .ternary:
            let mean = pleach_sum_abs(alive.baseAddress, alive.count) / Double(alive.count)
            // Among the smallest denormals the threshold can round up to the largest magnitude; that one stays.
            let largest = Float(bitPattern: pleach_absmax_bits(alive.baseAddress, alive.count))
            let threshold = min(Float(Self.ternaryThreshold * mean), largest.nextDown)
            chosen = MagnitudeSelection.above(magnitude: threshold, of: alive)
        case .dense:
            // Where most values are 0, a bitmap and the others cost less than all.
            let nonzero = pleach_count_nonzero(alive.baseAddress, alive.count)
            guard nonzero * format.bitCount + alive.count < alive.count * format.bitCount else { return nil }
            chosen = MagnitudeSelection.nonzero(alive)
        }
        return chosen.count == alive.count ? nil : chosen
    }

    /// Spreads what was coded back over the tensor and takes the difference.
    private func result(
        _ record: Record, chosen: [UInt32]?, alive: UnsafeBufferPointer<Float>, shape: Shape
    ) -> Result {
        var decodedAlive = record.values.decoded
        if let chosen {
            decodedAlive = [Float](repeating: 0, count: alive.count)
            decodedAlive.withUnsafeMutableBufferPointer { target in
                for (value, rank) in zip(record.values.decoded, chosen) { target[Int(rank)] = value }
            }
        }
        let residualAlive = [Float](unsafeUninitializedCapacity: alive.count) { buffer, filled in
            pleach_subtract(alive.baseAddress, decodedAlive, buffer.baseAddress, alive.count)
            filled = alive.count
        }
        return Result(
            record: record, decoded: spread(decodedAlive, shape: shape), residual: spread(residualAlive, shape: shape))
    }

    private func spread(_ alive: [Float], shape: Shape) -> Tensor {
        guard let mask else { return Tensor(alive, shape: shape) }
        var tensor = Tensor(zeros: shape)
        let indices = CodedSubset.members(of: mask.bytes, domain: mask.count)
        tensor.withMutableElements(as: Float.self) { target in
            for (value, index) in zip(alive, indices) { target[Int(index)] = value }
        }
        return tensor
    }
}
