import Tensors

/// A model's parameters after training, handed out tensor by tensor, as many times over as the encoder needs: some
/// options look at all of a change before they encode any of it.
protocol TrainedParameters {
    /// Begins at the layout's first tensor. The last pass may give away what it hands out.
    mutating func beginPass(isLast: Bool)

    /// The layout's next tensor, given what it was before. Equal in every pass.
    mutating func next(_ name: String, before: Tensor) throws -> Tensor

    /// One tensor out of turn, before the first pass; nil where it is not known yet.
    func peek(_ name: String) -> Tensor?
}

/// What a trainer ended with.
struct TrainerResult: TrainedParameters {
    private var parameters: NamedTensors
    private var isLast = false

    init(_ parameters: NamedTensors) { self.parameters = parameters }

    mutating func beginPass(isLast: Bool) { self.isLast = isLast }

    func peek(_ name: String) -> Tensor? { parameters[name] }

    mutating func next(_ name: String, before: Tensor) throws -> Tensor {
        let tensor = try parameters.require(name)
        // So that nobody else holds it; leaving its name out would cost a search of all names.
        if isLast { parameters[name] = Tensor(zeros: [0]) }
        return tensor
    }
}

/// For benchmarks: noise instead of training.
struct EchoResult: TrainedParameters {
    private let start: BenchmarkNoise
    private var noise: BenchmarkNoise

    init(seed: UInt64) {
        start = BenchmarkNoise(magnitude: 0.001, seed: seed)
        noise = start
    }

    mutating func beginPass(isLast: Bool) { noise = start }

    func peek(_ name: String) -> Tensor? { nil }

    mutating func next(_ name: String, before: Tensor) -> Tensor { noise.added(to: before) }
}
