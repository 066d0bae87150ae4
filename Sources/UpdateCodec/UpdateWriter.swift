import Tensors

/// Writes a container tensor by tensor, so that nobody has to hold more than one tensor besides the coded bytes.
/// `UpdateEncoder.encode` is this over all tensors at once; the bytes are the same.
public struct UpdateWriter {
    /// What became of one tensor.
    public struct Coded {
        /// What every receiver will see, to the bit.
        public var decoded: Tensor
        /// Input − decoded, in float32; 0 where the mask is dead.
        public var residual: Tensor
    }

    private let layout: TensorLayout
    private let header: UpdateHeader
    private let scheme: WireScheme
    private let masks: MaskSet
    private let carriesMasks: Bool
    private var body: [UInt8] = []
    private var records: [UInt8] = []
    private var generator: SeededGenerator
    private var index = 0
    private var recordCount = 0
    private var kept = 0
    private var previous = -1

    /// - Throws: as `UpdateEncoder.encode`, for what does not depend on the tensors' values.
    public init(
        layout: TensorLayout, header: UpdateHeader, scheme: WireScheme, masks: MaskSet = MaskSet(),
        newMasks: MaskSet? = nil, seed: UInt64 = 0
    ) throws(CodecError) {
        try UpdateEncoder.check(header, scheme, layout)
        try UpdateEncoder.check(masks, newMasks, header, layout)
        self.layout = layout
        self.header = header
        self.scheme = scheme
        self.masks = newMasks ?? masks
        carriesMasks = newMasks != nil
        generator = SeededGenerator(seed: seed, labels: "update")
        body.appendVarint(layout.entries.count)
        body.appendVarint(layout.elementCount)
        if let newMasks { MaskSection.write(from: masks, to: newMasks, layout: layout, to: &body) }
    }

    /// Codes the layout's next tensor. Precondition: it has that tensor's shape.
    public mutating func append(_ tensor: Tensor) throws(CodecError) -> Coded {
        precondition(index < layout.entries.count, "all tensors of the layout were written")
        let entry = layout.entries[index]
        precondition(tensor.shape == entry.shape, "'\(entry.name)' has another shape")
        let encoder = TensorEncoder(name: entry.name, mask: masks[entry.name], scheme: scheme)
        let coded = try encoder.encode(tensor, counter: generator.next())
        if let record = coded.record {
            record.write(index: index, after: previous, elements: tensor.elementCount, to: &records)
            recordCount += 1
            kept += record.kept
            previous = index
        }
        index += 1
        return Coded(decoded: coded.decoded, residual: coded.residual)
    }

    /// The container. Precondition: all tensors were written.
    public consuming func finish() -> (bytes: [UInt8], density: Double, bitsPerWeight: Double) {
        precondition(index == layout.entries.count, "only \(index) of \(layout.entries.count) tensors were written")
        body.appendVarint(recordCount)
        body += records
        records = []
        let bytes = UpdateEncoder.container(header, body, carriesMasks: carriesMasks)
        let elements = Double(max(layout.elementCount, 1))
        return (bytes, Double(kept) / elements, Double(bytes.count) * 8 / elements)
    }
}

extension WireScheme {
    /// Whether nothing of these tensors is lost on the way: all values travel, as float32.
    public func isLossless(for layout: TensorLayout, masks: MaskSet) -> Bool {
        guard selection == .dense, values == .float32 else { return false }
        return smallValues == .float32
            || layout.entries.allSatisfy { entry in
                let alive = masks[entry.name]?.populationCount ?? entry.elementCount
                return alive == 0 || alive > smallTensorElements
            }
    }
}
