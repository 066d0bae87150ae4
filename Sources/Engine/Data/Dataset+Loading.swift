import Tensors

extension Dataset {
    /// Labels at or above this are taken for damage.
    static let labelLimit: Int64 = 1_000_000

    /// Reads or draws the data: split, then shard, then limit.
    /// - Throws: `DataError`.
    public static func load(_ spec: DataSpec) throws(DataError) -> Dataset {
        let source = try DataSource(spec)
        if let index = source.labels.firstIndex(where: { $0 < 0 || $0 >= labelLimit }) {
            throw .unusableArray(
                place: source.place,
                reason: "sample \(index) has label \(source.labels[index]); labels run from 0 to \(labelLimit - 1)")
        }
        let classCount = Int(source.labels.max() ?? -1) + 1
        guard !source.rows.isEmpty else { throw .unusableArray(place: source.place, reason: "there are no samples") }

        var rows = source.rows
        if let shard = spec.shard {
            let partition = spec.split == .test ? .iid : spec.partition
            let labels = rows.map { source.labels[$0] }
            do {
                let part = try Partitioner(labels: labels, shardCount: shard.count, seed: spec.seed).shard(
                    shard.index, by: partition)
                rows = part.map { rows[$0] }
            } catch { throw .unsatisfiablePartition(spec: spec.description, reason: error.reason) }
        }
        if let limit = spec.limit, limit < rows.count {
            rows = shuffledOrder(count: rows.count, seed: spec.seed).prefix(limit).sorted().map { rows[$0] }
        }
        let inputs = source.inputs(rows)
        let normalization = try SampleNormalization(
            spec: spec, elementType: inputs.elementType, sampleShape: source.sampleShape)
        try checkFinite(inputs, spec: spec)
        return Dataset(
            spec: spec, inputs: inputs, labels: rows.map { source.labels[$0] }, classCount: classCount,
            normalization: normalization)
    }

    private static func checkFinite(_ inputs: Tensor, spec: DataSpec) throws(DataError) {
        let bad: Int?
        switch inputs.elementType {
        case .float32:
            bad = inputs.withElements(as: UInt32.self) { $0.firstIndex { $0 & 0x7f80_0000 == 0x7f80_0000 } }
        case .float16: bad = inputs.withElements(as: UInt16.self) { $0.firstIndex { $0 & 0x7c00 == 0x7c00 } }
        case .bfloat16: bad = inputs.withElements(as: UInt16.self) { $0.firstIndex { $0 & 0x7f80 == 0x7f80 } }
        default: bad = nil
        }
        if let bad {
            throw .notFinite(spec: spec.description, sample: bad / (inputs.elementCount / inputs.shape[0]))
        }
    }
}

/// What a SPEC names, before sharding: all labels, which rows belong to the split, and the means to get some rows.
struct DataSource {
    enum Content {
        case stored(Tensor)
        case drawn(SyntheticDigits)
    }

    /// For messages: the folder or file.
    let place: String
    let labels: [Int64]
    let rows: [Int]
    let sampleShape: Shape
    private let content: Content

    init(_ spec: DataSpec) throws(DataError) {
        place = spec.path
        switch spec.kind {
        case .idx, .npy, .safetensors:
            let arrays = try LabelledArrays(spec)
            content = .stored(arrays.inputs)
            labels = arrays.labels
            rows = arrays.rows
            sampleShape = arrays.sampleShape
        case .synthetic:
            try SyntheticSet.check(spec.path)
            let digits = SyntheticDigits(split: spec.split ?? .train, samples: spec.samples, seed: spec.seed)
            content = .drawn(digits)
            labels = digits.labels
            rows = Array(digits.labels.indices)
            sampleShape = SyntheticDigits.sampleShape
        case .folder: throw .unsupportedKind("folder")
        }
    }

    /// The given rows, ascending, as one tensor.
    func inputs(_ rows: [Int]) -> Tensor {
        switch content {
        case .drawn(let digits): return digits.draw(rows)
        case .stored(let tensor):
            if rows.count == tensor.shape[0] { return tensor }
            let rowBytes = sampleShape.elementCount * tensor.elementType.byteCount
            let bytes = [UInt8](unsafeUninitializedCapacity: rows.count * rowBytes) { target, filled in
                tensor.bytes.withUnsafeBytes { source in
                    for row in rows {
                        UnsafeMutableRawBufferPointer(
                            rebasing: UnsafeMutableRawBufferPointer(target)[filled..<filled + rowBytes]
                        )
                        .copyMemory(
                            from: UnsafeRawBufferPointer(rebasing: source[row * rowBytes..<(row + 1) * rowBytes]))
                        filled += rowBytes
                    }
                }
            }
            guard let shape = try? Shape([rows.count] + sampleShape.dimensions),
                let gathered = try? Tensor(elementType: tensor.elementType, shape: shape, bytes: bytes)
            else { preconditionFailure("\(rows.count) rows of \(tensor.shape)") }
            return gathered
        }
    }
}
