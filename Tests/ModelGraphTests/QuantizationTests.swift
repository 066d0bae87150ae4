import ModelGraph
import Tensors
import Testing

@Suite("QDQ export")
struct QuantizationTests {
    /// Every point at scale 0.1 from 0 on, which implies each Relu; every weight at 127 steps per channel's largest magnitude.
    private func quantized(_ graph: Graph, opset: Int64 = 17, scale: Float = 0.1) throws -> Graph {
        let points = graph.quantizationPoints().map { ($0, ActivationQuantization(scale: scale, zeroPoint: 0)) }
        return try graph.quantizedQDQ(
            activations: Dictionary(uniqueKeysWithValues: points), weights: weights(graph), opset: opset)
    }

    private func weights(_ graph: Graph) throws -> [String: QuantizedWeight] {
        var result: [String: QuantizedWeight] = [:]
        for (name, axis) in graph.quantizableWeights() {
            let tensor = try graph.initializers.require(name)
            let inner = tensor.shape.dimensions[(axis + 1)...].reduce(1, *)
            var scales = [Float](repeating: 0, count: tensor.shape[axis])
            let values = tensor.floats
            for index in values.indices {
                scales[index / inner % scales.count] = max(
                    scales[index / inner % scales.count], abs(values[index]) / 127)
            }
            scales = scales.map { $0 > 0 ? $0 : 1 }
            let integers = values.indices.map { Int8((values[$0] / scales[$0 / inner % scales.count]).rounded()) }
            result[name] = QuantizedWeight(
                values: Tensor(elements: integers, elementType: .int8, shape: tensor.shape), scales: scales, axis: axis)
        }
        return result
    }

    @Test("points of the cnn: input, fused outputs, logits; pools and Flatten share their input's")
    func points() throws {
        let graph = try ModelBuilder.build(architecture: "cnn", seed: 1)
        #expect(graph.quantizationPoints() == ["x", "relu1.output", "relu2.output", "relu3.output", "logits"])
        let weights = graph.quantizableWeights()
        #expect(weights.map(\.name) == ["conv1.weight", "conv2.weight", "fc1.weight", "fc2.weight"])
        #expect(weights.map(\.axis) == [0, 0, 0, 0])
    }

    @Test("residual blocks: the raw sum is fused into its Relu, both operands are points")
    func residual() throws {
        let graph = try ModelBuilder.build(architecture: "resnet20", seed: 1).foldingBatchNormalization()
        let points = graph.quantizationPoints()
        // x, 19 Relus, 9 second convolutions, 2 projections, pool, logits
        #expect(points.count == 1 + 19 + 9 + 2 + 1 + 1)
        #expect(!points.contains("block1.add.output"))
        #expect(points.contains("block4.shortcut.norm.output"))
    }

    @Test("the written form: integers between Q and DQ, int32 biases, unchanged names", arguments: [Int64(13), 17, 21])
    func structure(opset: Int64) throws {
        let graph = try ModelBuilder.build(architecture: "cnn", seed: 1)
        let result = try quantized(graph, opset: opset)
        #expect(result.opset == opset)
        #expect(result.inputs == graph.inputs && result.outputs == graph.outputs)
        #expect(try Graph.load(result.serialized(), path: "qdq") == result)
        let producer = Dictionary(
            uniqueKeysWithValues: result.nodes.flatMap { node in node.outputs.map { ($0, node) } })
        for node in result.nodes where ["Conv", "Gemm"].contains(node.operatorType) {
            #expect(node.inputs.count == 3)
            for input in node.inputs { #expect(producer[input]?.operatorType == "DequantizeLinear", "\(input)") }
            let sources = node.inputs.compactMap { producer[$0] }
            #expect(result.initializers[sources[1].inputs[0]]?.elementType == .int8)
            #expect(sources[1].int("axis") == 0)
            let (bias, biasScale) = (
                result.initializers[sources[2].inputs[0]], result.initializers[sources[2].inputs[1]]
            )
            #expect(bias?.elementType == .int32)
            let weightScale = try #require(result.initializers[sources[1].inputs[1]]).floats
            #expect(biasScale?.floats == weightScale.map { Float(Double(Float(0.1)) * Double($0)) })
        }
        #expect(producer["logits"]?.operatorType == "DequantizeLinear")
        // MaxPool reads and writes the same scale, so it runs on integers.
        let pool = try #require(result.nodes.first { $0.operatorType == "MaxPool" })
        let after = try #require(result.nodes.first { $0.inputs.first == pool.outputs[0] })
        #expect(after.operatorType == "QuantizeLinear")
        #expect(Array(after.inputs[1...]) == Array(try #require(producer[pool.inputs[0]]).inputs[1...]))
        let floats = result.initializers.ordered.filter { $0.tensor.elementType == .float32 }
        #expect(floats.allSatisfy { $0.tensor.shape.rank <= 1 }, "no float weight is left")
        #expect(try result.summary(fileBytes: 0).parameters == 421_642)
    }

    @Test("a bias beyond int32 raises its channel's scale and rounds the weights again")
    func biasOverflow() throws {
        let graph = smallGraph(
            [node("Gemm", ["x", "w", "b"], ["y"], ["transB": .int(1)])],
            [("w", floatTensor([1, 0.5, 1, -1], shape: [2, 2])), ("b", floatTensor([100_000, 1], shape: [2]))],
            input: [2])
        let result = try quantized(graph, scale: 1e-3)
        let scales = try result.initializers.require("w.scale").floats
        #expect(Double(Float(1e-3)) * Double(scales[0]) >= 2 * 100_000 / 4_294_967_295)
        #expect(scales[1] == 1 / Float(127))
        let integers = try result.initializers.require("w.quantized").elements(as: Int8.self)
        #expect(abs(Float(integers[0]) * scales[0] - 1) <= scales[0] / 2)
        #expect(integers[2...] == [127, -127])
        let stored = try result.initializers.require("b.quantized").elements(as: Int32.self)
        let bias = zip(stored, scales).map { Double($0) * 1e-3 * Double($1) }
        #expect(abs(bias[0] - 100_000) < 1)
        #expect(abs(bias[1] - 1) < 1e-5)
    }

    @Test("a shared weight is stored once; one used along two axes stays float")
    func sharedWeights() throws {
        let shared = smallGraph(
            [node("MatMul", ["x", "w"], ["h"]), node("MatMul", ["h", "w"], ["y"])], [("w", ramp([4, 4]))])
        let result = try quantized(shared)
        #expect(result.nodes.filter { $0.outputs == ["w"] }.count == 1)
        #expect(result.initializers["w.quantized"]?.elementType == .int8)
        let torn = smallGraph(
            [node("Gemm", ["x", "w"], ["h"], ["transB": .int(1)]), node("Gemm", ["h", "w"], ["y"])],
            [("w", ramp([4, 4]))], input: [4])
        #expect(torn.quantizableWeights().isEmpty)
        #expect(try quantized(torn).initializers["w"] == ramp([4, 4]))
    }

    @Test("Softmax as the model's output stays float behind a quantized Gemm")
    func softmax() throws {
        let graph = smallGraph(
            [node("Gemm", ["x", "w"], ["logits"]), node("Softmax", ["logits"], ["y"])], [("w", ramp([2, 3]))],
            input: [2])
        #expect(graph.quantizationPoints() == ["x", "logits"])
        #expect(try quantized(graph).nodes.last?.operatorType == "Softmax")
        #expect(graph.quantizableWeights().map(\.axis) == [1])
    }

    @Test("missing or unfit parameters are refused by name")
    func refusals() throws {
        let graph = try ModelBuilder.build(architecture: "mlp", inputShape: [4], classes: 2, width: 3, seed: 1)
        let points = Dictionary(
            uniqueKeysWithValues: graph.quantizationPoints().map {
                ($0, ActivationQuantization(scale: 1, zeroPoint: 0))
            })
        let weights = try weights(graph)
        func failure(_ activations: [String: ActivationQuantization], _ weights: [String: QuantizedWeight]) -> String? {
            do throws(ModelError) {
                _ = try graph.quantizedQDQ(activations: activations, weights: weights, opset: 17)
                return nil
            } catch { return error.description }
        }
        #expect(failure(points, weights) == nil)
        #expect(failure(points, [:]) == nil, "weights may stay float")
        #expect(failure(points.filter { $0.key != "x" }, weights)?.hasPrefix("activation 'x' has no") == true)
        for bad: Float in [0, -1, .nan, .infinity] {
            let spoiled = points.merging(["x": ActivationQuantization(scale: bad, zeroPoint: 0)]) { $1 }
            #expect(failure(spoiled, weights)?.contains("impossible scale") == true)
        }
        let extra = points.merging(["fc1.output": ActivationQuantization(scale: 1, zeroPoint: 0)]) { $1 }
        #expect(failure(extra, weights)?.contains("'fc1.output' is no activation") == true)
        let weight = try #require(weights["fc1.weight"])
        let short = QuantizedWeight(values: weight.values, scales: [1], axis: 0)
        #expect(failure(points, ["fc1.weight": short])?.contains("one scale per index of axis 0") == true)
        #expect(failure(points, ["fc1.bias": weight])?.contains("'fc1.bias' is no weight") == true)
        let dead = QuantizedWeight(values: weight.values, scales: [1, 0, 1], axis: 0)
        #expect(failure(points, ["fc1.weight": dead])?.contains("not positive") == true)
    }
}
