import Tensors

/// Speed of parsing, checking and folding dense int8 updates, on one thread (`pleach bench fold`).
public enum FoldBenchmark {
    public struct Row: Sendable, Codable, Equatable {
        public let contributions: Int
        /// Of each contribution.
        public let parameters: Int
        public let millionParametersPerSecond: Double
    }

    /// Folds `contributions` updates of `elements` weights each, from compressed bytes.
    public static func run(elements: Int, contributions: Int, seed: UInt64) throws(CodecError) -> Row {
        let shape = try BenchmarkWeights.shape(elements)
        var accumulator = FoldAccumulator(layout: TensorLayout(NamedTensors([("weights", Tensor(zeros: shape))])))
        let scheme = WireScheme(selection: .dense, values: .int8, smallTensorElements: 0)
        let tensors = NamedTensors([("weights", BenchmarkWeights.normal(shape, seed: seed))])
        let bytes = try UpdateEncoder.encode(
            tensors, header: BenchmarkWeights.header(maskEpoch: 0), scheme: scheme
        ).bytes
        let clock = ContinuousClock()
        let start = clock.now
        for _ in 0..<contributions {
            try accumulator.add(try UpdateReader(bytes, layout: accumulator.layout), weight: 1)
        }
        let seconds = (clock.now - start) / .seconds(1)
        return Row(
            contributions: contributions, parameters: elements,
            millionParametersPerSecond: Double(elements) * Double(contributions) / seconds / 1e6)
    }
}
