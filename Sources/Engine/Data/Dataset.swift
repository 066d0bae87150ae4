import Tensors

/// One input of every sample, as batches hold it.
public struct DataInput: Sendable, Equatable {
    public let name: String
    /// float32 or int64.
    public let elementType: ElementType
    /// Without the batch axis.
    public let sampleShape: Shape
}

/// Samples with their targets: this shard, this split. Small sets are in memory in their stored type; images and arrays in
/// files stay there and are read batch by batch.
///
/// A sample that cannot be read (a damaged image, a file cut short) is left out of its batch and counted in `damage`.
public struct Dataset: Sendable {
    /// Samples in this set.
    public let count: Int
    /// What a batch holds; at least one.
    public let inputs: [DataInput]
    public let targets: TargetKind
    /// One more than the largest label of the whole set, before sharding; of folders, how many there are; of tokens, the
    /// vocabulary; 0 where the targets are values.
    public let classCount: Int
    /// The folders' names by class; empty for other kinds.
    public let classNames: [String]
    /// One label per sample, from 0; empty where the targets are not classes.
    public let labels: [Int64]
    /// What the SPEC says.
    public let spec: DataSpec

    let content: DataSource.Content
    /// Of each sample its row in `content`.
    let rows: [Int]
    let augmentation: Augmentation?
    let tally = DamageTally()

    /// The first input's sample shape, without the batch axis.
    public var sampleShape: Shape { inputs[0].sampleShape }

    /// Whether a loader changes samples at random, because the SPEC asks for it.
    public var isAugmented: Bool { augmentation != nil }

    /// For people: the SPEC, sample count, shapes and classes.
    public var description: String {
        let shapes = inputs.map { inputs.count == 1 ? "\($0.sampleShape)" : "\($0.name) \($0.sampleShape)" }
        let kinds =
            switch targets {
            case .classes: "\(classCount) classes"
            case .values(let shape): "values \(shape)"
            case .tokens: "\(classCount) tokens"
            }
        return "\(spec): \(count) samples of \(shapes.joined(separator: ", ")), \(kinds)"
    }

    /// What all reads of this set found so far.
    public var damage: DamageReport { tally.value }

    /// Reads or draws the data: split, then shard, then limit.
    /// - Throws: `DataError`.
    public static func load(_ spec: DataSpec) throws(DataError) -> Dataset {
        try Dataset(DataSource(spec), spec: spec)
    }

    init(_ source: DataSource, spec: DataSpec) throws(DataError) {
        let chosen = try source.selectedRows(spec)
        self.spec = spec
        count = chosen.count
        classCount = source.classCount
        classNames = source.classNames
        labels = source.labels.map { labels in chosen.map { labels[$0] } } ?? []
        switch source.content {
        case .tokens(let windows):
            content = source.content
            rows = chosen
            augmentation = nil
            targets = .tokens
            inputs = [DataInput(name: "x", elementType: .int64, sampleShape: [windows.length])]
        case .fields(var fields, let values):
            // Either all fields are in memory or none is.
            let resident = fields.compactMap { $0.rows.resident(chosen) }
            let isResident = resident.count == fields.count && values == nil
            if isResident { for (index, rows) in resident.enumerated() { fields[index].rows = rows } }
            rows = isResident ? Array(chosen.indices) : chosen
            for field in fields + (values.map { [$0] } ?? []) {
                try FiniteCheck.check(field, rows: rows, spec: spec)
            }
            augmentation = try Augmentation.named(by: spec, fields: fields)
            content = .fields(fields, values: values)
            targets = values.map { .values($0.sampleShape) } ?? .classes
            inputs = fields.map {
                DataInput(name: $0.name, elementType: $0.batchType, sampleShape: $0.sampleShape)
            }
        }
    }

    /// The samples at `indices`, in that order: the first input `[n] + sampleShape` (float32 scaled and normalised, or int64)
    /// and the targets (int64 labels `[n]`, tokens `[n, length]`, or float32 values). Never augmented. Damaged samples are
    /// left out, so n may be less than asked for; `samples(at:)` says which. Precondition: every index is in `0..<count`.
    public func batch(_ indices: some Collection<Int>) -> (inputs: Tensor, labels: Tensor) {
        let loaded = gather(Array(indices), seed: nil, classes: nil).loaded
        guard let input = loaded.batch.inputs[inputs[0].name] else { preconditionFailure("no input \(inputs[0])") }
        return (input, loaded.batch.targets)
    }

    /// How many samples each class has; empty where the targets are not classes.
    public func classHistogram() -> [Int] {
        guard targets == .classes else { return [] }
        var histogram = [Int](repeating: 0, count: classCount)
        for label in labels { histogram[Int(label)] += 1 }
        return histogram
    }

    /// 0..<count in an order that depends on the seed alone (Fisher-Yates).
    public static func shuffledOrder(count: Int, seed: UInt64) -> [Int] {
        var generator = SeededGenerator(seed: seed, labels: "order")
        return (0..<count).shuffled(using: &generator)
    }
}
