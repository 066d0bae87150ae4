import ModelGraph
import Tensors
import Testing

@testable import Engine

/// Joined nodes compute what they stand for, forwards and backwards.
@Suite struct FusionTests {
    init() { EngineRuntime.setThreads(1) }

    /// x W + b, GELU with Erf, a second product whose weight lies transposed, and a sum of what fits no pattern.
    static func graph(_ seed: UInt64, swapped: Bool) -> Graph {
        var random = SeededGenerator(seed: seed)
        func tensor(_ shape: [Int]) throws -> Tensor {
            Tensor((0..<shape.reduce(1, *)).map { _ in random.uniform() - 0.5 }, shape: try Shape(shape))
        }
        func node(_ type: String, _ inputs: [String], _ output: String) -> Node {
            Node(
                name: output, operatorType: type,
                inputs: swapped && inputs.count == 2 && type != "MatMul" && type != "Div"
                    ? inputs.reversed() : inputs, outputs: [output])
        }
        let constants: [(String, Float)] = [("root", 1.414_213_5), ("one", 1), ("half", 0.5)]
        var initializers = NamedTensors()
        for (name, shape) in [("w", [6, 5]), ("b", [5]), ("v", [4, 5]), ("c", [4])] {
            initializers[name] = try? tensor(shape)
        }
        for (name, value) in constants { initializers[name] = Tensor([value], shape: []) }
        let halving =
            swapped
            ? [node("Mul", ["a", "half"], "h"), node("Mul", ["h", "s"], "g")]
            : [node("Mul", ["a", "s"], "h"), node("Mul", ["h", "half"], "g")]
        return Graph(
            name: "fusion",
            nodes: [
                node("MatMul", ["x", "w"], "p"), node("Add", ["p", "b"], "a"), node("Div", ["a", "root"], "d"),
                node("Erf", ["d"], "e"), node("Add", ["e", "one"], "s"),
            ] + halving + [
                node("Transpose", ["v"], "vt"), node("MatMul", ["g", "vt"], "q"), node("Add", ["q", "c"], "y"),
            ],
            inputs: [ValueInfo(name: "x", elementType: .float32, dimensions: [.symbolic("n"), .fixed(3), .fixed(6)])],
            outputs: [ValueInfo(name: "y", elementType: .float32, dimensions: nil)], initializers: initializers)
    }

    @Test(arguments: [false, true]) func layersAndGeluAreJoined(swapped: Bool) {
        let nodes = Fusion.nodes(of: Self.graph(1, swapped: swapped))
        #expect(nodes.map(\.operatorType) == ["Linear", "Gelu", "Linear"])
        #expect(nodes.allSatisfy { $0.domain == Fusion.domain })
    }

    @Test(arguments: [1, 2, 3], [false, true])
    func resultsAndGradientsAreThoseOfTheGraph(seed: UInt64, swapped: Bool) throws {
        let graph = Self.graph(seed, swapped: swapped)
        var random = SeededGenerator(seed: seed)
        let x = Tensor((0..<2 * 3 * 6).map { _ in 4 * random.uniform() - 2 }, shape: [2, 3, 6])
        let target = Tensor((0..<2 * 3 * 4).map { _ in random.uniform() }, shape: [2, 3, 4])
        let settings = OptimizerSettings(learningRate: 0.1)
        let batch = Batch(x, targets: target)
        let joined = try Trainer(graph, optimizer: settings).gradients(batch, loss: .meanSquaredError)
        // A graph that returns every value has nothing to join.
        var open = graph
        for node in graph.nodes.dropLast() {
            open.outputs.append(ValueInfo(name: node.outputs[0], elementType: .float32, dimensions: nil))
        }
        #expect(Fusion.nodes(of: open) == open.nodes)
        let plain = try Trainer(open, optimizer: settings).gradients(batch, loss: .meanSquaredError)
        #expect(Parity.relativeError(joined.logits, plain.logits) < 1e-5)
        #expect(joined.gradients.names == plain.gradients.names && joined.gradients.count == 4)
        for (name, gradient) in joined.gradients.ordered {
            #expect(try Parity.relativeError(gradient, plain.gradients.require(name)) < 1e-5, "\(name)")
        }
    }

    @Test func whatIsNotTheSameStays() {
        var other = Self.graph(1, swapped: false)
        other.initializers["root"] = Tensor([1.5] as [Float], shape: [])
        #expect(Fusion.nodes(of: other).contains { $0.operatorType == "Erf" })
        var shared = Self.graph(1, swapped: false)
        shared.nodes.append(Node(name: "again", operatorType: "Relu", inputs: ["p"], outputs: ["z"]))
        #expect(Fusion.nodes(of: shared).contains { $0.operatorType == "MatMul" })
    }
}

/// Products of batches against sums in double precision, with operands that lie in every order.
@Suite struct BatchedProductTests {
    init() { EngineRuntime.setThreads(1) }

    static func tensor(_ dims: [Int], _ random: inout SeededGenerator) throws -> Tensor {
        Tensor((0..<dims.reduce(1, *)).map { _ in random.uniform() - 0.5 }, shape: try Shape(dims))
    }

    /// The gradient of Σ a b c is c bᵀ and aᵀ c: the trainer's mean squared error gives both.
    @Test(arguments: [[1, 1, 1], [3, 2, 4], [5, 1, 7], [1, 6, 2], [16, 8, 16]], [false, true])
    func productsAndGradients(sizes: [Int], transposed: Bool) throws {
        var random = SeededGenerator(seed: 3)
        let (m, k, n) = (sizes[0], sizes[1], sizes[2])
        let stored = transposed ? [2, 3, n, k] : [2, 3, k, n]
        let a = try Self.tensor([2, 3, m, k], &random)
        let b = try Self.tensor(stored, &random)
        let target = try Self.tensor([2, 3, m, n], &random)
        var nodes = [Node(name: "product", operatorType: "MatMul", inputs: ["x", "b"], outputs: ["y"])]
        if transposed {
            nodes[0].inputs[1] = "t"
            nodes.insert(
                Node(
                    name: "turn", operatorType: "Transpose", inputs: ["b"], outputs: ["t"],
                    attributes: ["perm": .ints([0, 1, 3, 2])]), at: 0)
        }
        let graph = Graph(
            name: "product", nodes: nodes,
            inputs: [ValueInfo(name: "x", elementType: .float32, dimensions: a.shape.dimensions.map { .fixed($0) })],
            outputs: [ValueInfo(name: "y", elementType: .float32, dimensions: nil)],
            initializers: NamedTensors([("b", b)]))
        let result = try Trainer(graph, optimizer: OptimizerSettings(learningRate: 0.1)).gradients(
            Batch(a, targets: target), loss: .meanSquaredError)
        let (left, right) = (a.floats.map(Double.init), b.floats.map(Double.init))
        let wanted = target.floats.map(Double.init)
        var (products, slopes) = ([Float](), [Double](repeating: 0, count: right.count))
        for matrix in 0..<6 {
            for row in 0..<m {
                for column in 0..<n {
                    func place(_ inner: Int) -> Int {
                        matrix * k * n + (transposed ? column * k + inner : inner * n + column)
                    }
                    let sum = (0..<k).reduce(0.0) { $0 + left[(matrix * m + row) * k + $1] * right[place($1)] }
                    products.append(Float(sum))
                    let slope = 2 * (sum - wanted[(matrix * m + row) * n + column]) / Double(wanted.count)
                    for inner in 0..<k { slopes[place(inner)] += slope * left[(matrix * m + row) * k + inner] }
                }
            }
        }
        let expected = Tensor(products, shape: target.shape)
        let gradient = Tensor(slopes.map(Float.init), shape: b.shape)
        #expect(Parity.relativeError(result.logits, expected) < 1e-5)
        #expect(try Parity.relativeError(result.gradients.require("b"), gradient) < 1e-5)
    }
}
