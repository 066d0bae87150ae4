import Engine
import ModelGraph
import Tensors
import Testing

@testable import Compression

/// Small networks whose rounding training simulates, and what the fleet measures of them.
enum SimulationFixtures {
    static func noise(_ extents: [Int], seed: UInt64) throws -> Tensor {
        var random = SeededGenerator(seed: seed)
        let shape = try Shape(extents)
        return Tensor((0..<shape.elementCount).map { _ in 2 * random.uniform() - 1 }, shape: shape)
    }

    /// A residual network with batch norms as training leaves them: some scales are negative, one is 0.
    static func resnet() throws -> Graph {
        let graph = try ModelBuilder.build(
            architecture: "resnet20", inputShape: [3, 16, 16], classes: 5, width: 4, seed: 20)
        var random = SeededGenerator(seed: 21)
        var parameters = graph.parameterTensors()
        for norm in graph.nodes where norm.operatorType == "BatchNormalization" {
            for (position, low, high) in [(1, 0.5, 1.5), (2, -0.5, 0.5), (3, -0.3, 0.3), (4, 0.2, 3.0)] {
                let tensor = try parameters.require(norm.inputs[position])
                var values = (0..<tensor.elementCount).map { _ in Float(low + (high - low) * Double(random.uniform())) }
                if position == 1 { (values[0], values[1]) = (-values[0], 0) }
                parameters[norm.inputs[position]] = Tensor(values, shape: tensor.shape)
            }
        }
        return try graph.replacingParameters(parameters)
    }

    /// y = relu(x Wᵀ + b) V: a matrix that the file stores transposed, as PyTorch does, and a bias of one number behind the second.
    static func perceptron() throws -> Graph {
        let nodes = [
            Node(name: "turn", operatorType: "Transpose", inputs: ["w"], outputs: ["wt"]),
            Node(name: "first", operatorType: "MatMul", inputs: ["x", "wt"], outputs: ["a"]),
            Node(name: "shift", operatorType: "Add", inputs: ["a", "b"], outputs: ["c"]),
            Node(name: "cut", operatorType: "Relu", inputs: ["c"], outputs: ["d"]),
            Node(name: "second", operatorType: "MatMul", inputs: ["d", "v"], outputs: ["e"]),
            Node(name: "offset", operatorType: "Add", inputs: ["e", "u"], outputs: ["y"]),
        ]
        return Graph(
            name: "perceptron", nodes: nodes,
            inputs: [ValueInfo(name: "x", elementType: .float32, dimensions: [.symbolic("n"), .fixed(6)])],
            outputs: [ValueInfo(name: "y", elementType: .float32, dimensions: [.symbolic("n"), .fixed(1)])],
            initializers: NamedTensors([
                ("w", try noise([9, 6], seed: 1)), ("b", try noise([9], seed: 2)), ("v", try noise([9, 1], seed: 3)),
                ("u", try noise([1], seed: 4)),
            ]))
    }

    static func evidence(_ quantizer: ModelQuantizer, _ batches: [Tensor]) throws -> QuantizationEvidence {
        var evidence = QuantizationEvidence()
        if !quantizer.points.isEmpty {
            let calibrator = try Calibrator(deployed: quantizer.deployed, points: quantizer.points)
            for batch in batches { try calibrator.add(batch) }
            evidence.calibration = calibrator.result
        }
        if quantizer.needsSensitivities {
            let meter = try SensitivityMeter(
                deployed: quantizer.deployed, layers: quantizer.layers, scheme: quantizer.settings.weights,
                bits: quantizer.candidates)
            for batch in batches { try meter.add(batch) }
            evidence.sensitivities = try meter.table()
        }
        return evidence
    }

    /// Steps as training leaves them: each a little off, some below 0, whose magnitude counts.
    static func movingSteps(_ graph: Graph) throws -> Graph {
        var random = SeededGenerator(seed: 31)
        var graph = graph
        for name in graph.simulationSteps.sorted() {
            let tensor = try graph.initializers.require(name)
            let values = tensor.floats.enumerated().map { index, step in
                step * (0.9 + 0.2 * random.uniform()) * (index == 1 ? -1 : 1)
            }
            graph.initializers[name] = Tensor(values, shape: tensor.shape)
        }
        return graph
    }
}
