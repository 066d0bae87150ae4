import Tensors

/// What a SPEC holds, for people and machines: `pleach data inspect`.
public struct DataReport: Sendable, Equatable, Codable {
    public struct Input: Sendable, Equatable, Codable {
        public let name: String
        /// As batches hold it: float32 or int64.
        public let type: String
        public let sampleShape: [Int]
    }

    /// The values that a model gets, over the samples that were read.
    public struct Values: Sendable, Equatable, Codable {
        public let input: String
        /// From 0; nil for an input without channels.
        public let channel: Int?
        public let minimum: Double
        public let maximum: Double
        public let mean: Double
        /// The population's.
        public let std: Double
    }

    public struct Shard: Sendable, Equatable, Codable {
        /// From 1.
        public let index: Int
        public let samples: Int
        /// Samples of each class; empty where there are none.
        public let histogram: [Int]
    }

    public let spec: String
    public let split: String
    public let samples: Int
    public let inputs: [Input]
    /// `classes`, `values` or `tokens`.
    public let targets: String
    public let targetShape: [Int]
    public let classes: Int
    public let classNames: [String]
    public let histogram: [Int]
    /// The parts of the whole split; the SPEC's own shard is one of them.
    public let shards: [Shard]
    public let values: [Values]
    /// Of the samples that were read for `values`.
    public let damage: DamageReport

    /// Samples read for ranges and damage.
    public static let sampleLimit = 1_000

    /// Loads the data and reads a part of them.
    /// - Parameter shards: into how many parts the split is dealt; nil for as many as the SPEC says.
    /// - Returns: also the data, for what else is to be asked of them.
    /// - Throws: `DataError`.
    public static func make(_ spec: DataSpec, shards: Int? = nil) throws(DataError) -> (
        report: DataReport, data: Dataset
    ) {
        let source = try DataSource(spec)
        let data = try Dataset(source, spec: spec)
        var parts: [Shard] = []
        if let count = shards ?? spec.shard?.count {
            for index in 1...count {
                let rows = try source.shardRows(spec, index, of: count)
                var histogram = [Int](repeating: 0, count: source.labels == nil ? 0 : source.classCount)
                if let labels = source.labels { for row in rows { histogram[Int(labels[row])] += 1 } }
                parts.append(Shard(index: index, samples: rows.count, histogram: histogram))
            }
        }
        let (values, damage) = try readValues(data)
        let report = DataReport(
            spec: spec.description, split: (spec.split ?? .train).rawValue, samples: data.count,
            inputs: data.inputs.map {
                Input(name: $0.name, type: "\($0.elementType)", sampleShape: $0.sampleShape.dimensions)
            },
            targets: data.targets.name, targetShape: data.targets.shape, classes: data.classCount,
            classNames: data.classNames, histogram: data.classHistogram(), shards: parts, values: values,
            damage: damage)
        return (report, data)
    }

    /// Sums over one channel.
    private struct Sums {
        var count = 0.0
        var sum = 0.0
        var squares = 0.0
        var minimum = Double.infinity
        var maximum = -Double.infinity

        mutating func add(_ value: Double) {
            count += 1
            sum += value
            squares += value * value
            minimum = min(minimum, value)
            maximum = max(maximum, value)
        }
    }

    private static func readValues(_ data: Dataset) throws(DataError) -> ([Values], DamageReport) {
        let chosen = Dataset.shuffledOrder(count: data.count, seed: 0).prefix(sampleLimit).sorted()
        let channels = data.inputs.map { $0.sampleShape.rank == 3 ? $0.sampleShape[0] : 1 }
        var sums = channels.map { [Sums](repeating: Sums(), count: $0) }
        var damage = DamageReport()
        for start in stride(from: 0, to: chosen.count, by: 50) {
            let asked = chosen[start..<min(chosen.count, start + 50)]
            let loaded = try data.samples(at: asked)
            damage.add(visited: asked.count, damaged: loaded.damaged)
            for (index, input) in data.inputs.enumerated() {
                guard let tensor = loaded.batch.inputs[input.name]?.convertedToFloat32() else { continue }
                let inner = max(1, input.sampleShape.elementCount / channels[index])
                tensor.withElements(as: Float.self) { elements in
                    for (place, value) in elements.enumerated() {
                        sums[index][place / inner % channels[index]].add(Double(value))
                    }
                }
            }
        }
        let values = zip(data.inputs, sums).flatMap { input, sums in
            sums.enumerated().compactMap { channel, sums -> Values? in
                guard sums.count > 0 else { return nil }
                let mean = sums.sum / sums.count
                return Values(
                    input: input.name, channel: input.sampleShape.rank == 3 ? channel : nil, minimum: sums.minimum,
                    maximum: sums.maximum, mean: mean, std: max(0, sums.squares / sums.count - mean * mean).squareRoot()
                )
            }
        }
        return (values, damage)
    }
}

extension TargetKind {
    var name: String {
        switch self {
        case .classes: "classes"
        case .values: "values"
        case .tokens: "tokens"
        }
    }

    var shape: [Int] { if case .values(let shape) = self { shape.dimensions } else { [] } }
}
