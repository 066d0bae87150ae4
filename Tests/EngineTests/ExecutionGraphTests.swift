import ModelGraph
import Tensors
import Testing

@testable import Engine

/// Pools, quantization pairs and the interpreter itself.
struct ExecutionGraphTests {
    /// y = MaxPool 2x2 stride 2 of x·w, as logits; the gradient of w names each window's winner.
    private func pooled(_ weights: [Float], _ shape: Shape, logits: Int64) throws -> (Tensor, [Float]) {
        let graph = Graph(
            name: "pool",
            nodes: [
                Node(name: "scale", operatorType: "Mul", inputs: ["x", "w"], outputs: ["h"]),
                Node(
                    name: "pool", operatorType: "MaxPool", inputs: ["h"], outputs: ["p"],
                    attributes: ["kernel_shape": .ints([2, 2]), "strides": .ints([2, 2])]),
                Node(name: "flat", operatorType: "Flatten", inputs: ["p"], outputs: ["y"]),
            ],
            inputs: [ValueInfo(name: "x", elementType: .float32, dimensions: nil)],
            outputs: [ValueInfo(name: "y", elementType: .float32, dimensions: nil)],
            initializers: NamedTensors([("w", Tensor(weights, shape: shape))]))
        let ones = Tensor(Array(repeating: 1 as Float, count: shape.elementCount), shape: shape)
        let trainer = try Trainer(graph, optimizer: OptimizerSettings(learningRate: 0))
        let result = try trainer.gradients(ones, labels: Tensor([0] as [Int64], shape: [1]))
        #expect(result.logits.shape.dimensions == [1, Int(logits)])
        #expect(try Executable(graph).logits(ones) == result.logits)
        return (result.logits, try result.gradients.require("w").floats)
    }

    @Test func maxPoolOfOddExtentsTakesTheFirstAmongEquals() throws {
        // Windows (7 7 / 7 7) and (1 4 / 2 3); the last column and row belong to none.
        let (logits, gradient) = try pooled(
            [7, 7, 1, 4, 9, 7, 7, 2, 3, 9, 9, 9, 9, 9, 9], [1, 1, 3, 5], logits: 2)
        #expect(logits.floats == [7, 4])
        #expect(gradient.indices.filter { gradient[$0] != 0 } == [0, 3])
    }

    @Test func wideMaxPoolsChooseEachWindowsWinner() throws {
        // 40 columns reach every vector width; the largest of a window wanders through its four places.
        var generator = SeededGenerator(seed: 3)
        let shape: Shape = [1, 3, 4, 40]
        let weights = (0..<shape.elementCount).map { _ in generator.uniform() - 0.5 }
        let (logits, gradient) = try pooled(weights, shape, logits: 120)
        var expected: [Float] = []
        var winners: Set<Int> = []
        for plane in 0..<3 {
            for row in 0..<2 {
                for column in 0..<20 {
                    let corner = plane * 160 + 2 * row * 40 + 2 * column
                    let places = [corner, corner + 1, corner + 40, corner + 41]
                    let winner = places.max { weights[$0] < weights[$1] } ?? corner
                    expected.append(weights[winner])
                    winners.insert(winner)
                }
            }
        }
        #expect(logits.floats == expected)
        #expect(Set(gradient.indices.filter { gradient[$0] != 0 }) == winners)
    }

    @Test func maxPoolPassesNotANumberOn() throws {
        let graph = oneNode(
            "MaxPool", input: [1, 1, 2, 4],
            attributes: ["kernel_shape": .ints([2, 2]), "strides": .ints([2, 2])])
        let pooled = try evaluate(graph, [1, 2, 5, 6, .nan, 3, 7, 4], [1, 1, 2, 4]).floats
        #expect(pooled[0].isNaN && pooled[1] == 7)
    }

    @Test(arguments: [(0, [1, 2.5]), (1, [0.5, 2.5])] as [(Int64, [Float])])
    func averagePoolWithAsymmetricPads(count: Int64, expected: [Float]) throws {
        // Windows (pad 1) and (2 3) of a row with one pad before it.
        let graph = oneNode(
            "AveragePool", input: [1, 1, 3],
            attributes: [
                "kernel_shape": .ints([2]), "strides": .ints([2]), "pads": .ints([1, 0]),
                "count_include_pad": .int(count),
            ])
        #expect(try evaluate(graph, [1, 2, 3], [1, 1, 3]).floats == expected)
    }

    @Test func ceilModeWithAsymmetricPadsIsRefusedBeforeRunning() {
        let graph = oneNode(
            "MaxPool", input: [1, 1, 3],
            attributes: ["kernel_shape": .ints([2]), "pads": .ints([1, 0]), "ceil_mode": .int(1)])
        #expect { try Executable(graph) } throws: { "\($0)".contains("ceil_mode") && "\($0)".contains("'node'") }
    }

    @Test func dequantizationPerAxisAndOfBiases() throws {
        var graph = oneNode("Conv", input: [1, 1, 1], constants: [("w", Tensor(zeros: [2, 1, 1]))])
        graph.initializers = NamedTensors([
            ("codes", Tensor(elements: [-10, 100] as [Int8], elementType: .int8, shape: [2, 1, 1])),
            ("scales", Tensor([0.5, 0.25] as [Float], shape: [2])),
            ("zeros", Tensor(elements: [0, 0] as [Int8], elementType: .int8, shape: [2])),
            ("bias", Tensor(elements: [300, -300] as [Int32], elementType: .int32, shape: [2])),
        ])
        graph.nodes = [
            Node(
                name: "dw", operatorType: "DequantizeLinear", inputs: ["codes", "scales", "zeros"], outputs: ["w"],
                attributes: ["axis": .int(0)]),
            Node(
                name: "db", operatorType: "DequantizeLinear", inputs: ["bias", "scales"], outputs: ["b"],
                attributes: ["axis": .int(0)]),
            Node(name: "conv", operatorType: "Conv", inputs: ["x", "w", "b"], outputs: ["y"]),
        ]
        let executable = try Executable(graph)
        let inputs = NamedTensors([("x", Tensor([2] as [Float], shape: [1, 1, 1]))])
        #expect(try executable.run(inputs).require("y").floats == [140, -25])
        // What depends on initializers alone is computed once, and can still be asked for.
        let both = try executable.run(inputs, outputs: ["w", "y", "x"])
        #expect(both.names == ["w", "y", "x"])
        #expect(try both.require("w").floats == [-5, 25])
    }

    @Test func quantizationPerAxisWithSignedCodes() throws {
        let constants = [
            ("s", Tensor([1, 0.5] as [Float], shape: [2])),
            ("z", Tensor(elements: [0, -3] as [Int8], elementType: .int8, shape: [2])),
        ]
        let graph = oneNode("QuantizeLinear", input: [2, 2], constants: constants, attributes: ["axis": .int(-1)])
        let codes = try evaluate(graph, [2.5, 1, -1000, 1000], [2, 2]).elements(as: Int8.self)
        #expect(codes == [2, -1, -128, 127])
    }

    @Test func integersAreDividedAsInC() throws {
        var graph = oneNode("Div", input: [3], constants: [("d", Tensor([2, 2, -2] as [Int64], shape: [3]))])
        graph.inputs[0].elementType = .int64
        let inputs = NamedTensors([("x", Tensor([7, -7, 7] as [Int64], shape: [3]))])
        let quotients = try Executable(graph).run(inputs).require("y")
        #expect(quotients.elements(as: Int64.self) == [3, -3, -3])
    }

    @Test func intermediateResultsAreFreedAtTheirLastUse() throws {
        let graph = try ModelBuilder.build(architecture: "cnn", inputShape: nil, classes: nil, width: 4, seed: 1)
        let program = try Program(graph)
        let output = try #require(graph.outputs.first?.name)
        var values = [TorchTensor?](repeating: nil, count: program.slots.count)
        for (slot, name) in program.constants { values[slot] = try TorchTensor(graph.initializers.require(name)) }
        let input = try #require(graph.inputs.first?.name)
        try program.place(NamedTensors([(input, Tensor(zeros: [2, 1, 28, 28]))]), into: &values)
        let procedure = try program.procedure(for: [output])
        let frame = Frame(training: false, updatesStatistics: false)
        try procedure.run(&values, frame: frame, extents: program.extents(values))
        let alive = values.indices.filter { values[$0] != nil }
        #expect(Set(alive) == Set(program.constants.map(\.slot) + [try #require(program.slots[output])]))
    }

    @Test func furtherOutputsAreRefusedWhenUsed() throws {
        var graph = oneNode("Dropout", input: [2])
        graph.nodes[0].outputs.append("mask")
        _ = try Executable(graph)
        graph.outputs.append(ValueInfo(name: "mask", elementType: .bool, dimensions: nil))
        #expect { try Executable(graph) } throws: { "\($0)".contains("'mask'") && "\($0)".contains("Dropout") }
    }

    @Test func anErrorInsideAnOperatorNamesTheNode() throws {
        let graph = oneNode("MatMul", input: [1, 3], constants: [("w", Tensor(zeros: [2, 2]))])
        #expect { try evaluate(graph, [1, 2, 3], [1, 3]) } throws: { error in
            guard case EngineError.operatorFailed(let type, let node, let reason) = error else { return false }
            return type == "MatMul" && node == "node" && !reason.isEmpty && !reason.contains("\n")
        }
        #expect(throws: EngineError.unknownOutput("nowhere")) {
            try Executable(graph).run(NamedTensors([("x", Tensor(zeros: [1, 3]))]), outputs: ["nowhere"])
        }
    }

    @Test func evaluationSumsFoldAndRefuseWhatIsNotFinite() throws {
        let identity = Tensor([1, 0, 0, 1] as [Float], shape: [2, 2])
        var graph = oneNode("MatMul", input: [2, 2], constants: [("w", identity)])
        let labels = Tensor([0, 0] as [Int64], shape: [2])
        let result = try Executable(graph).evaluate(Tensor([0, 0, 0, 0] as [Float], shape: [2, 2]), labels: labels)
        #expect(abs(result.lossSum - 2 * 0.693_147_2) < 1e-6)
        #expect(result.samples == 2)
        graph.initializers["w"] = Tensor([.infinity, 0, 0, 1] as [Float], shape: [2, 2])
        #expect(throws: EngineError.notFinite("the evaluation loss")) {
            try Executable(graph).evaluate(Tensor([1, 0, 0, 1] as [Float], shape: [2, 2]), labels: labels)
        }
    }

    @Test func theRuntimeNamesItsLibraries() {
        #expect(EngineRuntime.description.hasPrefix("libtorch "))
    }
}
