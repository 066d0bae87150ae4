import Tensors

/// What the targets of a data set are.
public enum TargetKind: Sendable, Equatable {
    /// An int64 class each.
    case classes
    /// Float32 values of this shape each.
    case values(Shape)
    /// Int64 tokens, one for each position; -100 where nothing is to be predicted.
    case tokens
}

/// What a SPEC names, before sharding: every sample, which of them belong to the split, and their classes.
struct DataSource: Sendable {
    enum Content: Sendable {
        case fields([SampleField], values: SampleField?)
        case tokens(TokenWindows)
    }

    /// For messages: the folder or file.
    let place: String
    var content: Content
    /// The class of each sample, or nil when there are none.
    var labels: [Int64]?
    /// The samples of the split, ascending.
    var rows: [Int]
    /// One more than the largest label; of tokens the vocabulary; 0 for values.
    let classCount: Int
    /// Only a folder names its classes.
    var classNames: [String] = []

    /// Labels at or above this are taken for damage.
    static let labelLimit: Int64 = 1_000_000

    init(_ spec: DataSpec) throws(DataError) {
        place = spec.path
        switch spec.kind {
        case .idx, .npy, .safetensors:
            let arrays = try StoredArrays(spec)
            let fields = try Self.fields(arrays.inputs, spec: spec)
            content = .fields(
                fields,
                values: arrays.values.map {
                    SampleField(name: "y", rows: $0, normalization: SampleNormalization(plain: $0.elementType))
                })
            labels = arrays.labels
            rows = arrays.rows
            classCount = try Self.classCount(arrays.labels, place: place)
        case .synthetic:
            try SyntheticSet.check(spec.path)
            let digits = SyntheticDigits(split: spec.split ?? .train, samples: spec.samples, seed: spec.seed)
            content = .fields(try Self.fields([("x", DrawnRows(digits))], spec: spec), values: nil)
            labels = digits.labels
            rows = Array(digits.labels.indices)
            classCount = try Self.classCount(digits.labels, place: place)
        case .folder:
            let folder = try ImageFolder(spec)
            content = .fields(try Self.fields([("x", folder)], spec: spec), values: nil)
            labels = folder.labels
            rows =
                folder.hasTest
                ? Array(folder.labels.indices) : Self.heldOutRows(count: folder.count, isTest: spec.split == .test)
            classCount = folder.classNames.count
            classNames = folder.classNames
        case .tokens:
            let windows = try TokenWindows(spec)
            content = .tokens(windows)
            rows = Self.heldOutRows(count: windows.count, isTest: spec.split == .test)
            classCount = windows.vocabulary
        }
        guard !rows.isEmpty else { throw .unusableArray(place: place, reason: "there are no samples") }
        rows = try Self.rows(rows, onSideOf: spec)
    }

    /// The rows of the SPEC's shard, then at most its limit; ascending.
    func selectedRows(_ spec: DataSpec) throws(DataError) -> [Int] {
        var chosen = rows
        if let shard = spec.shard { chosen = try shardRows(spec, shard.index, of: shard.count) }
        if let limit = spec.limit, limit < chosen.count {
            let order = Dataset.shuffledOrder(count: chosen.count, seed: spec.seed)
            chosen = order.prefix(limit).sorted().map { [chosen] in chosen[$0] }
        }
        return chosen
    }

    /// The rows of shard `index` of `count`, ascending.
    func shardRows(_ spec: DataSpec, _ index: Int, of count: Int) throws(DataError) -> [Int] {
        let partition = spec.split == .test ? .iid : spec.partition
        if labels == nil, partition != .iid, partition != .contiguous {
            throw .unsatisfiablePartition(
                spec: spec.description, reason: "partition=\(partition) needs classes; use iid or contiguous")
        }
        let dealt = labels.map { labels in rows.map { labels[$0] } } ?? [Int64](repeating: 0, count: rows.count)
        do {
            let part = try Partitioner(labels: dealt, shardCount: count, seed: spec.seed).shard(index, by: partition)
            return part.map { rows[$0] }
        } catch { throw .unsatisfiablePartition(spec: spec.description, reason: error.reason) }
    }

    /// A tenth of the rows (at least one) for testing, or all the others, ascending: where there is no test set of its own.
    /// They are picked by a fixed seed, the same whatever the SPEC's, so that training and evaluation under different seeds
    /// never share a sample.
    static func heldOutRows(count: Int, isTest: Bool) -> [Int] {
        let order = Dataset.shuffledOrder(count: count, seed: 0x0e1d_0047)
        let testCount = count > 1 ? max(1, count / 10) : 0
        return (isTest ? order.prefix(testCount) : order.dropFirst(testCount)).sorted()
    }

    private static func classCount(_ labels: [Int64]?, place: String) throws(DataError) -> Int {
        guard let labels else { return 0 }
        if let index = labels.firstIndex(where: { $0 < 0 || $0 >= labelLimit }) {
            throw .unusableArray(
                place: place,
                reason: "sample \(index) has label \(labels[index]); labels run from 0 to \(labelLimit - 1)")
        }
        return Int(labels.max() ?? -1) + 1
    }

    /// The SPEC's scale, mean and std are those of `x`, or of the only input there is.
    private static func fields(
        _ inputs: [(name: String, rows: any SampleRows)], spec: DataSpec
    ) throws(DataError) -> [SampleField] {
        let isNormalized = spec.scale != nil || spec.mean != nil || spec.std != nil
        let main = mainInput(of: inputs.map(\.name))
        if isNormalized, main == nil || inputs.contains(where: { $0.name == main && !$0.rows.elementType.isReal }) {
            throw .malformedSpec(
                spec: spec.description, reason: "scale, mean and std are for an input 'x' of bytes or real numbers")
        }
        return try inputs.map { name, rows throws(DataError) in
            let type = rows.elementType
            var normalization: SampleNormalization?
            if type.isReal {
                normalization =
                    name == main
                    ? try SampleNormalization(spec: spec, elementType: type, sampleShape: rows.sampleShape)
                    : SampleNormalization(plain: type)
            }
            return SampleField(name: name, rows: rows, normalization: normalization)
        }
    }

    /// The input that options about values and images are for.
    static func mainInput(of names: [String]) -> String? {
        names.count == 1 ? names.first : names.first { $0 == "x" }
    }
}

extension ElementType {
    /// Whether inputs of this type become float32; the others that are accepted become int64.
    fileprivate var isReal: Bool { self == .uint8 || isFloatingPoint }
}
