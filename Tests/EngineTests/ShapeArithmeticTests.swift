import ModelGraph
import Tensors
import Testing

@testable import Engine

/// What follows from the inputs' extents is computed once per extents; what depends on their elements, every time.
struct ShapeArithmeticTests {
    private func graph(
        _ nodes: [Node], inputs: [(String, ElementType, Int)], constants: [(String, Tensor)] = [], output: String = "y"
    ) -> Graph {
        Graph(
            name: "shapes", nodes: nodes,
            inputs: inputs.map { name, type, rank in
                ValueInfo(
                    name: name, elementType: type, dimensions: (0..<rank).map { .symbolic("\(name)\($0)") })
            },
            outputs: [ValueInfo(name: output, elementType: .int64, dimensions: nil)],
            initializers: NamedTensors(constants), opset: 21, constantNames: Set(constants.map(\.0)))
    }

    private func node(
        _ type: String, _ inputs: [String], _ output: String, _ attributes: [String: AttributeValue] = [:]
    ) -> Node {
        Node(name: output, operatorType: type, inputs: inputs, outputs: [output], attributes: attributes)
    }

    private func arithmetic(_ graph: Graph) throws -> [String] {
        try Program(graph).instructions.filter(\.isShapeArithmetic).map(\.node.name)
    }

    /// Positions 0, 1, ... of a sequence of token ids, looked up beside the ids: what exporters write.
    private func positions() -> Graph {
        graph(
            [
                node("Shape", ["ids"], "shape"), node("Gather", ["shape", "one"], "length"),
                node("Range", ["zero", "length", "one"], "places"), node("Add", ["ids", "places"], "y"),
            ], inputs: [("ids", .int64, 2)],
            constants: [("zero", Tensor([0] as [Int64], shape: [])), ("one", Tensor([1] as [Int64], shape: []))])
    }

    @Test func batchesAndLengthsMayChange() throws {
        let graph = positions()
        #expect(try arithmetic(graph) == ["shape", "length", "places"])
        let executable = try Executable(graph)
        for (batch, length) in [(1, 3), (2, 5), (1, 3), (4, 1), (2, 5), (0, 2)] {
            let shape = try Shape([batch, length])
            let ids = Tensor((0..<shape.elementCount).map { Int64($0 * 10) }, shape: shape)
            let sums = try executable.run(NamedTensors([("ids", ids)])).require("y").elements(as: Int64.self)
            #expect(sums == (0..<shape.elementCount).map { Int64($0 * 10 + $0 % length) })
        }
    }

    @Test func fewExtentsAreRemembered() throws {
        let program = try Program(positions())
        var values = [TorchTensor?](repeating: nil, count: program.slots.count)
        for (slot, name) in program.constants {
            values[slot] = try TorchTensor(program.graph.initializers.require(name))
        }
        let procedure = try program.procedure(for: ["y"])
        let slot = try #require(program.slots["y"])
        for length in Array(1...40) + [1, 2, 40] {
            var frame = values
            let ids = Tensor(zeros: try Shape([1, length]), elementType: .int64)
            try program.place(NamedTensors([("ids", ids)]), into: &frame)
            try procedure.run(
                &frame, frame: Frame(training: false, updatesStatistics: false), extents: program.extents(frame))
            #expect(procedure.known.count <= 32)
            #expect(procedure.known[[[1, length]]] != nil)
            let sums = try #require(frame[slot]).tensor().elements(as: Int64.self)
            #expect(sums == (0..<length).map(Int64.init))
        }
    }

    @Test func extentsThatDependOnElementsAreNotFixed() throws {
        let found = graph(
            [node("NonZero", ["x"], "places"), node("Shape", ["places"], "y")], inputs: [("x", .float32, 1)])
        #expect(try arithmetic(found) == [])
        let executable = try Executable(found)
        for (values, count) in [([0, 1, 2], 2), ([0, 0, 0], 0), ([1, 1, 1], 3)] as [([Float], Int64)] {
            let result = try executable.run(NamedTensors([("x", Tensor(values, shape: [3]))]))
            #expect(try result.require("y").elements(as: Int64.self) == [1, count])
        }
    }

    @Test func anInputThatCarriesAShapeIsReadEveryTime() throws {
        let given = graph(
            [node("Reshape", ["x", "s"], "r"), node("Shape", ["r"], "y")],
            inputs: [("x", .float32, 1), ("s", .int64, 1)])
        #expect(try arithmetic(given) == [])
        let executable = try Executable(given)
        for dims in [[2, 3], [3, 2], [1, 6]] as [[Int64]] {
            let inputs = NamedTensors([("x", Tensor(zeros: [6])), ("s", Tensor(dims, shape: [2]))])
            #expect(try executable.run(inputs).require("y").elements(as: Int64.self) == dims)
        }
    }

    @Test(arguments: ["TopK", "Tile", "Expand", "Slice", "Split", "OneHot", "ReduceSum", "Unsqueeze"])
    func operandsThatDecideExtentsMustBeFixed(type: String) {
        var shapes = ShapeArithmetic(
            graph(
                [node(type, ["x", "k"], "t"), node("Shape", ["t"], "y")],
                inputs: [("x", .float32, 1), ("k", .int64, 1)])
        )
        let isOperator = shapes.visit(node(type, ["x", "k"], "t"))
        #expect(!isOperator)
        let isShape = shapes.visit(node("Shape", ["t"], "y"))
        #expect(!isShape)
    }

    @Test(arguments: ["Dropout", "BatchNormalization", "RandomNormalLike"])
    func whatDiffersFromStepToStepIsComputedAtEveryStep(type: String) {
        var shapes = ShapeArithmetic(
            graph([], inputs: [("x", .float32, 1)], constants: [("c", Tensor([1] as [Float], shape: [1]))]))
        let isRandom = shapes.visit(node(type, ["c"], "t"))
        #expect(!isRandom)
        let isNegated = shapes.visit(node("Neg", ["t"], "n"))
        #expect(!isNegated)
        // Its extents are fixed all the same.
        let isShape = shapes.visit(node("Shape", ["n"], "y"))
        #expect(isShape)
    }

    @Test func aLargeMaskIsComputedAnew() throws {
        let mask = graph(
            [node("Shape", ["x"], "s"), node("ConstantOfShape", ["s"], "m"), node("Shape", ["m"], "y")],
            inputs: [("x", .float32, 2)])
        let program = try Program(mask)
        let procedure = try program.procedure(for: ["m"])
        for (extent, isKnown) in [(8, true), (4100, false)] {
            var frame = [TorchTensor?](repeating: nil, count: program.slots.count)
            let x = Tensor(zeros: try Shape([extent, extent]))
            try program.place(NamedTensors([("x", x)]), into: &frame)
            try procedure.run(
                &frame, frame: Frame(training: false, updatesStatistics: false), extents: program.extents(frame))
            #expect((procedure.known[[[extent, extent]]] != nil) == isKnown)
        }
    }

    @Test func tensorsAreGivenAndAskedForByName() throws {
        let split = Graph(
            name: "two",
            nodes: [
                Node(name: "sum", operatorType: "Add", inputs: ["left", "right"], outputs: ["total"]),
                Node(
                    name: "halves", operatorType: "Split", inputs: ["total"], outputs: ["first", "second"],
                    attributes: ["num_outputs": .int(2)]),
            ],
            inputs: ["left", "right"].map { ValueInfo(name: $0, elementType: .int32, dimensions: [.symbolic("n")]) },
            outputs: ["first", "second"].map { ValueInfo(name: $0, elementType: .int32, dimensions: nil) },
            initializers: NamedTensors(), opset: 18)
        let left = Tensor(elements: [1, 2, 3] as [Int32], elementType: .int32, shape: [3])
        let given = NamedTensors([("left", left), ("right", left)])
        try split.checkNames(inputs: given, outputs: ["total", "second"])
        let results = try Executable(split).run(given)
        #expect(results.names == ["first", "second"])
        #expect(try results.require("first").elements(as: Int32.self) == [2, 4])
        #expect(try results.require("second").elements(as: Int32.self) == [6])
        #expect(throws: EngineError.unknownInput(name: "rigth", suggestion: "right", inputs: ["left", "right"])) {
            try split.checkNames(inputs: NamedTensors([("left", left), ("rigth", left)]))
        }
        #expect(throws: EngineError.missingInput("right")) {
            try split.checkNames(inputs: NamedTensors([("left", left)]))
        }
        #expect(throws: EngineError.unknownValue(name: "totl", suggestion: "total")) {
            try split.checkNames(inputs: given, outputs: ["totl"])
        }
        #expect(throws: EngineError.self) {
            try Executable(split).run(NamedTensors([("left", Tensor(zeros: [3])), ("right", left)]))
        }
    }
}
