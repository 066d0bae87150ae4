import ModelGraph
import Tensors
import Testing

@testable import Engine

/// Rounding in training: values and LSQ's gradients against a slow reference (Esser et al. 2020, equations 3 and 5).
struct SimulatedQuantizationTests {
    private func random(_ shape: Shape, _ generator: inout SeededGenerator) -> Tensor {
        Tensor((0..<shape.elementCount).map { _ in Float.random(in: -2...2, using: &generator) }, shape: shape)
    }

    private func ones(_ shape: Shape) -> Tensor {
        Tensor([Float](repeating: 1, count: shape.elementCount), shape: shape)
    }

    /// y = x W, over `[n, 5]` and W `[5, 3]`.
    private func product(_ weight: Tensor) -> Graph {
        Graph(
            name: "product", nodes: [Node(name: "p", operatorType: "MatMul", inputs: ["x", "w"], outputs: ["y"])],
            inputs: [ValueInfo(name: "x", elementType: .float32, dimensions: [.symbolic("n"), .fixed(5)])],
            outputs: [ValueInfo(name: "y", elementType: .float32, dimensions: nil)],
            initializers: NamedTensors([("w", weight)]))
    }

    private func gradients(_ graph: Graph, _ x: Tensor, _ target: Tensor) throws -> NamedTensors {
        let trainer = try Trainer(graph, optimizer: OptimizerSettings(learningRate: 0.1))
        return try trainer.gradients(x, labels: target, loss: .meanSquaredError).gradients
    }

    @Test(arguments: [2, 3, 4, 8], [true, false]) func gradientsOfWeightsAndStepsAreLSQs(bits: Int, byChannel: Bool)
        throws
    {
        var generator = SeededGenerator(seed: UInt64(bits))
        let (weight, x) = (random([5, 3], &generator), random([7, 5], &generator))
        let target = random([7, 3], &generator)
        let high = Float(1 << (bits - 1) - 1)
        // Some weights lie beyond the codes.
        let steps: [Float] = byChannel ? [1, 1.5, 0.7].map { $0 / high } : [1 / high]
        let simulated = try product(weight).simulatingQuantization(
            weights: [SimulatedWeight(name: "w", axis: byChannel ? 1 : nil, bits: bits, steps: steps)],
            activations: [])
        #expect(simulated.trainableNames.sorted() == ["w", "w.step"])
        let step = { (index: Int) in steps[byChannel ? index % 3 : 0] }
        let quotients = weight.floats.enumerated().map { $0.element / step($0.offset) }
        // Zero has one spelling.
        let codes = quotients.map { min(max($0.rounded(.toNearestOrEven), -high), high) + 0 }
        let rounded = Tensor(codes.enumerated().map { $0.element * step($0.offset) }, shape: weight.shape)
        let baked = simulated.withoutSimulatedQuantization()
        #expect(baked.graph.initializers["w"] == rounded)
        #expect(baked.quantization.weightBits == ["w": bits])

        let expected = try #require(try gradients(product(rounded), x, target)["w"]).floats
        let found = try gradients(simulated, x, target)
        let inner = quotients.map { abs($0.rounded(.toNearestOrEven)) <= high }
        var stepGradients = [Float](repeating: 0, count: steps.count)
        let factor = 1 / (Float(byChannel ? 5 : 15) * high).squareRoot()
        for index in expected.indices {
            let slope = inner[index] ? codes[index] - quotients[index] : codes[index]
            stepGradients[byChannel ? index % 3 : 0] += expected[index] * slope * factor
        }
        let weights = try #require(found["w"]).floats
        for index in expected.indices {
            #expect(abs(weights[index] - (inner[index] ? expected[index] : 0)) < 1e-5, "weight \(index)")
        }
        for (found, reference) in zip(try #require(found["w.step"]).floats, stepGradients) {
            #expect(abs(found - reference) < 1e-4 * max(1, abs(reference)))
        }
    }

    @Test func valuesAreRoundedAsTheExportWill() throws {
        var generator = SeededGenerator(seed: 3)
        let (weight, x) = (random([5, 3], &generator), random([7, 5], &generator))
        let input = ActivationQuantization(scale: 0.02, zeroPoint: 120)
        let output = ActivationQuantization(scale: 0.03, zeroPoint: -5, storage: .int8)
        let simulated = try product(weight).simulatingQuantization(
            weights: [], activations: [("x", input), ("y", output), ("nothing", input)])
        #expect(simulated.outputs.map(\.name) == ["y"])
        func rounded(_ values: [Float], _ q: ActivationQuantization) -> [Float] {
            values.map { value in
                let code = (value / q.scale).rounded(.toNearestOrEven) + Float(q.zeroPoint)
                let limits = q.storage.codes
                return q.scale
                    * (min(max(code, Float(limits.lowerBound)), Float(limits.upperBound)) - Float(q.zeroPoint))
            }
        }
        let given = Tensor(rounded(x.floats, input), shape: x.shape)
        let plain = try Executable(product(weight)).logits(given).floats
        let found = try Executable(simulated).logits(x).floats
        for (value, reference) in zip(found, rounded(plain, output)) { #expect(abs(value - reference) <= 0.0301) }
        let (graph, quantization) = simulated.withoutSimulatedQuantization()
        let original = product(weight)
        #expect(graph == original)
        #expect(quantization.activations == ["x": input, "y": output])
    }

    @Test func stepsStayUsableWhateverTrainingDoesToThem() throws {
        let weight = ones([5, 3])
        var simulated = try product(weight).simulatingQuantization(
            weights: [SimulatedWeight(name: "w", axis: nil, bits: 4, steps: [0.5])], activations: [])
        for step in [Float(0), -0.5, 1e-30] {
            simulated.initializers["w.step"] = Tensor([step], shape: [1])
            let found = try Executable(simulated).logits(ones([1, 5])).floats
            #expect(found.allSatisfy { $0.isFinite })
            let weights = try #require(simulated.withoutSimulatedQuantization().graph.initializers["w"]).floats
            #expect(weights.allSatisfy { $0.isFinite })
        }
    }

    @Test func damagedNodesAreRefused() throws {
        let simulated = try product(ones([5, 3])).simulatingQuantization(
            weights: [SimulatedWeight(name: "w", axis: 1, bits: 4, steps: [1, 1, 1])], activations: [])
        func damaged(_ change: (inout Node) -> Void) -> Graph {
            var graph = simulated
            change(&graph.nodes[0])
            return graph
        }
        for graph in [
            damaged { $0.attributes["high"] = nil }, damaged { $0.attributes["low"] = .int(9) },
            damaged { $0.attributes["zero_point"] = .int(99) }, damaged { $0.inputs.removeLast() },
            damaged { $0.attributes["high"] = .int(1 << 40) },
        ] {
            #expect(throws: EngineError.self) { try Executable(graph) }
        }
        var empty = simulated
        empty.initializers["w.step"] = Tensor(zeros: [0])
        #expect(throws: EngineError.self) { try Executable(empty).logits(ones([1, 5])) }
        let misfit = damaged { $0.attributes["axis"] = .int(7) }
        #expect(throws: EngineError.self) { try Executable(misfit).logits(ones([1, 5])) }
    }

    @Test func frozenStatisticsStay() throws {
        let bn = Graph(
            name: "bn",
            nodes: [
                Node(
                    name: "n", operatorType: "BatchNormalization", inputs: ["x", "g", "b", "m", "v"], outputs: ["y"])
            ], inputs: [ValueInfo(name: "x", elementType: .float32, dimensions: [.symbolic("n"), .fixed(2)])],
            outputs: [ValueInfo(name: "y", elementType: .float32, dimensions: nil)],
            initializers: NamedTensors([
                ("g", ones([2])), ("b", Tensor(zeros: [2])),
                ("m", Tensor([Float(0.5), -0.5], shape: [2])), ("v", Tensor([Float(4), 4], shape: [2])),
            ]))
        let x = Tensor([Float(1), 2, 3, 4], shape: [2, 2])
        let target = Tensor(zeros: [2, 2])
        let frozen = try Trainer(bn, optimizer: OptimizerSettings(learningRate: 0.1), freezesStatistics: true)
        let expected = try Executable(bn).logits(x).floats
        let result = try frozen.step(x, labels: target, loss: .meanSquaredError)
        let loss = expected.reduce(0) { $0 + Double($1 * $1) } / 4
        #expect(abs(result.loss - loss) < 1e-5)
        let after = try frozen.parameters()
        #expect(after["m"] == bn.initializers["m"])
        #expect(after["v"] == bn.initializers["v"])
        #expect(after["g"] != bn.initializers["g"])
    }
}
