import Tensors

/// One named input or the values to predict: samples as they are stored, and how they become a batch.
struct SampleField: Sendable {
    let name: String
    var rows: any SampleRows
    /// nil for integers, which stay what they are.
    let normalization: SampleNormalization?

    /// What batches hold.
    var batchType: ElementType { normalization == nil ? .int64 : .float32 }
    var sampleShape: Shape { rows.sampleShape }

    /// The samples at `places`: `[places.count]` + sample shape, zeros where reading failed, with the faults added to `faults`.
    /// What already has a fault is not read.
    func gather(_ places: [Int], faults: inout [SampleFault?]) -> Tensor {
        guard let shape = try? Shape([places.count] + sampleShape.dimensions) else {
            preconditionFailure("batch of \(places.count) samples of \(sampleShape)")
        }
        var tensor = Tensor(zeros: shape, elementType: batchType)
        let scratch = UnsafeMutableRawBufferPointer.allocate(byteCount: max(1, rows.rowByteCount), alignment: 16)
        defer { scratch.deallocate() }
        let stored = UnsafeMutableRawBufferPointer(rebasing: scratch[..<rows.rowByteCount])
        let rowElements = sampleShape.elementCount
        tensor.withMutableBytes { bytes in
            for (turn, place) in places.enumerated() where faults[turn] == nil {
                do throws(SampleFault) { try rows.read(place..<place + 1, into: stored) } catch {
                    faults[turn] = error
                    continue
                }
                guard rowElements > 0, let base = bytes.baseAddress else { continue }
                convert(UnsafeRawBufferPointer(stored), into: base + turn * rowElements * batchType.byteCount)
            }
        }
        return tensor
    }

    private func convert(_ stored: UnsafeRawBufferPointer, into target: UnsafeMutableRawPointer) {
        if normalization == nil {
            let integers = target.assumingMemoryBound(to: Int64.self)
            switch rows.elementType {
            case .int32: widen(stored.assumingMemoryBound(to: Int32.self), into: integers)
            case .int64: widen(stored.assumingMemoryBound(to: Int64.self), into: integers)
            default: preconditionFailure("integers stored as \(rows.elementType)")
            }
            return
        }
        let floats = target.assumingMemoryBound(to: Float.self)
        switch rows.elementType {
        case .uint8: normalize(stored.assumingMemoryBound(to: UInt8.self), into: floats) { Float($0) }
        case .float32: normalize(stored.assumingMemoryBound(to: Float.self), into: floats) { $0 }
        case .float16:
            normalize(stored.assumingMemoryBound(to: UInt16.self), into: floats) {
                HalfPrecision.float(fromFloat16: $0)
            }
        case .bfloat16:
            normalize(stored.assumingMemoryBound(to: UInt16.self), into: floats) {
                HalfPrecision.float(fromBfloat16: $0)
            }
        default: preconditionFailure("real numbers stored as \(rows.elementType)")
        }
    }

    private func widen(_ source: UnsafeBufferPointer<some FixedWidthInteger>, into target: UnsafeMutablePointer<Int64>)
    {
        for index in source.indices { target[index] = Int64(truncatingIfNeeded: source[index]) }
    }

    /// Channel by channel, so that the inner loop has constant scale, mean and std and is vectorised.
    @inline(__always)
    private func normalize<Element: BitwiseCopyable>(
        _ source: UnsafeBufferPointer<Element>, into target: UnsafeMutablePointer<Float>, _ convert: (Element) -> Float
    ) {
        guard let normalization, var input = source.baseAddress else { return }
        var output = target
        let scale = normalization.scale
        let inner = source.count / normalization.channels.count
        for channel in normalization.channels {
            for index in 0..<inner { output[index] = (convert(input[index]) / scale - channel.mean) / channel.std }
            input += inner
            output += inner
        }
    }
}

/// (value / scale - mean) / std, with mean and std per channel, the first axis of a sample, or one for all.
struct SampleNormalization: Sendable {
    let scale: Float
    let channels: [(mean: Float, std: Float)]

    /// As the SPEC's options say.
    init(spec: DataSpec, elementType: ElementType, sampleShape: Shape) throws(DataError) {
        scale = Float(spec.scale ?? (elementType == .uint8 ? 255 : 1))
        let count = max(spec.mean?.count ?? 1, spec.std?.count ?? 1)
        let channelCount = sampleShape.rank > 0 ? sampleShape[0] : 1
        for (option, values) in [("mean", spec.mean), ("std", spec.std)] {
            guard let values, values.count != 1, values.count != channelCount else { continue }
            throw .invalidOption(
                spec: spec.description, option: option, value: values.map(DataSpec.number).joined(separator: ","),
                needed: "1 or \(channelCount) numbers: samples have shape \(sampleShape)")
        }
        channels = (0..<count).map { channel in
            let mean = spec.mean.map { $0[$0.count == 1 ? 0 : channel] } ?? 0
            let std = spec.std.map { $0[$0.count == 1 ? 0 : channel] } ?? 1
            return (Float(mean), Float(std))
        }
    }

    /// Bytes become 0 to 1, real numbers stay.
    init(plain elementType: ElementType) {
        scale = elementType == .uint8 ? 255 : 1
        channels = [(0, 1)]
    }
}
