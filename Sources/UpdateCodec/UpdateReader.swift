import CKernels
import Tensors

/// A container that was parsed and checked from its first byte to its last. Holds the compressed bytes, not the values.
///
/// After `init` succeeded, nothing about the bytes can fail any more: positions are in range, values finite.
public struct UpdateReader: Sendable {
    public let header: UpdateHeader
    public let layout: TensorLayout
    /// The masks after the change, when the container carries one; the values are aligned to them.
    public let newMasks: MaskSet?

    /// The unpacked body, with the container's prefix in front when it was stored.
    let body: [UInt8]
    let records: [TensorRecord]
    /// The mask of each record's tensor.
    let recordMasks: [Bitmap?]
    /// The largest magnitude in each record.
    let magnitudes: [Float]
    private let normSquared: Double

    /// Parses and checks everything.
    /// - Parameter masks: those of the base snapshot.
    /// - Throws: `CodecError`, naming the tensor or the field.
    public init(
        _ bytes: [UInt8], layout: TensorLayout, masks: MaskSet = MaskSet(), limits: CodecLimits = .default
    ) throws(CodecError) {
        try masks.check(against: layout)
        let container = try ParsedContainer(
            bytes, limits: limits, expecting: layout, masks: masks, bodyByteLimit: layout.largestBodyByteCount)
        header = container.prefix.header
        self.layout = layout
        newMasks = container.newMasks
        body = container.body
        records = container.records
        let aligned = container.newMasks ?? masks
        recordMasks = records.map { aligned[layout.entries[$0.index].name] }
        var magnitudes: [Float] = []
        var normSquared = 0.0
        for (record, mask) in zip(records, recordMasks) {
            let runs = RecordRuns(record: record, mask: mask, tensorName: layout.entries[record.index].name)
            var largest: UInt32 = 0
            try body.withUnsafeBufferPointer { (body) throws(CodecError) in
                guard let first = body.baseAddress else { return }
                try runs.forEach(in: first, resolving: false) { run in
                    largest = max(largest, pleach_absmax_bits(run.values.baseAddress, run.values.count))
                    normSquared += pleach_sum_squares(run.values.baseAddress, run.values.count)
                }
            }
            magnitudes.append(Float(bitPattern: largest))
        }
        self.magnitudes = magnitudes
        self.normSquared = normSquared
    }

    /// Dense float32 tensors of the layout, 0 where nothing was sent.
    public func decode() throws(CodecError) -> NamedTensors {
        var tensors: [Tensor?] = Array(repeating: nil, count: layout.entries.count)
        for number in records.indices {
            let index = records[number].index
            var tensor = Tensor(zeros: layout.entries[index].shape)
            try forEachRun(ofRecord: number) { run in
                tensor.withMutableElements(as: Float.self) { target in
                    guard let indices = run.indices else {
                        _ = target[run.start...].update(fromContentsOf: run.values)
                        return
                    }
                    for place in run.values.indices { target[Int(indices[place])] = run.values[place] }
                }
            }
            tensors[index] = tensor
        }
        return NamedTensors(
            zip(layout.entries, tensors).map { entry, tensor in (entry.name, tensor ?? Tensor(zeros: entry.shape)) })
    }

    /// Σx² over all values, summed in double.
    public func squaredNorm() -> Double { normSquared }

    /// Decodes one record, without ever holding more than a run of it.
    func forEachRun(ofRecord number: Int, _ visit: (ValueRun) -> Void) throws(CodecError) {
        let runs = RecordRuns(
            record: records[number], mask: recordMasks[number], tensorName: layout.entries[records[number].index].name)
        try body.withUnsafeBufferPointer { (body) throws(CodecError) in
            guard let first = body.baseAddress else { return }
            try runs.forEach(in: first, visit)
        }
    }
}
