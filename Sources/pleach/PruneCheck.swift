import Engine
import ModelGraph
import Tensors

/// How far a sliced model is from the masked one on random input.
struct PruneCheck: Codable {
    struct Output: Codable {
        var name: String
        var largestDifference: Double
        /// Over the masked model's largest value.
        var relativeDifference: Double
    }

    /// Samples of the random input.
    var samples: Int
    var outputs: [Output]
    var largestDifference: Double
    var relativeDifference: Double

    /// - Throws: `EngineError` for a model that does not run, or whose inputs are not known well enough to make some.
    init(masked: Graph, sliced: Graph, extents: [String: Int]) throws {
        samples = RandomBatch.rows(for: masked)
        let inputs = try RandomBatch.inputs(for: masked, rows: samples, extents: extents).centred
        // One model at a time: each holds its weights a second time.
        let expected = try Executable(masked).run(inputs)
        let found = try Executable(sliced).run(inputs)
        outputs = []
        for (name, tensor) in expected.ordered {
            let other = try found.require(name)
            guard tensor.shape == other.shape else {
                throw EngineError.badBatch("output '\(name)' is \(tensor.shape) masked and \(other.shape) sliced")
            }
            let (a, b) = (tensor.convertedToFloat32().floats, other.convertedToFloat32().floats)
            guard a.contains(where: \.isFinite) else {
                throw ModelError.invalidRequest(
                    "--check: output '\(name)' of the masked model has no finite number on random input, so there is nothing "
                        + "to compare")
            }
            var (difference, largest) = (0.0, 0.0)
            for index in a.indices {
                let distance = Double(abs(a[index] - b[index]))
                // Whatever is not finite in one of the two is a difference that no number bounds.
                guard distance.isFinite || a[index] == b[index] || a[index].isNaN && b[index].isNaN else {
                    throw ModelError.invalidRequest(
                        "--check: output '\(name)' is not finite in one of the two models where it is in the other")
                }
                if distance.isFinite { difference = max(difference, distance) }
                if a[index].isFinite { largest = max(largest, Double(abs(a[index]))) }
            }
            outputs.append(
                Output(
                    name: name, largestDifference: difference,
                    relativeDifference: difference > 0 ? difference / max(largest, .leastNormalMagnitude) : 0))
        }
        largestDifference = outputs.map(\.largestDifference).max() ?? 0
        relativeDifference = outputs.map(\.relativeDifference).max() ?? 0
    }
}

extension NamedTensors {
    /// Noise from 0 to 1 as noise of mean 0 and variance 1; integers as they are.
    fileprivate var centred: NamedTensors {
        NamedTensors(
            ordered.map { name, tensor in
                guard tensor.elementType == .float32 else { return (name, tensor) }
                return (name, Tensor(tensor.floats.map { ($0 - 0.5) * Float(12).squareRoot() }, shape: tensor.shape))
            })
    }
}
