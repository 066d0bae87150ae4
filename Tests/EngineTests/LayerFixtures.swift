import CTorch
import ModelGraph
import Tensors

@testable import Engine

/// One operator application on given tensors: what the tests of layers run and differentiate.
struct Application {
    var type: String
    var attributes: [String: AttributeValue] = [:]
    var outputs = 1
    var opset: Int64 = 21

    func graph(_ inputs: [Tensor?], outputType: ElementType = .float64) -> Graph {
        let names = inputs.indices.map { inputs[$0] == nil ? "" : "x\($0)" }
        return Graph(
            name: "one",
            nodes: [
                Node(
                    name: "node", operatorType: type, inputs: names, outputs: (0..<outputs).map { "y\($0)" },
                    attributes: attributes)
            ],
            inputs: zip(names, inputs).compactMap { name, tensor in
                tensor.map {
                    ValueInfo(
                        name: name, elementType: $0.elementType, dimensions: $0.shape.dimensions.map { .fixed($0) })
                }
            },
            outputs: (0..<outputs).map { ValueInfo(name: "y\($0)", elementType: outputType, dimensions: nil) },
            initializers: NamedTensors(), opset: opset)
    }

    /// All outputs.
    func run(_ inputs: Tensor?...) throws -> [Tensor] {
        let values = inputs.enumerated().compactMap { index, tensor in tensor.map { ("x\(index)", $0) } }
        let results = try Executable(graph(inputs)).run(NamedTensors(values))
        return try (0..<outputs).map { try results.require("y\($0)") }
    }

    /// The largest difference between what autograd and central differences give for the gradient of a weighted sum of
    /// the outputs, over all float64 inputs; relative to the largest gradient.
    func gradientError(_ inputs: Tensor?..., except fixed: Set<Int> = []) throws -> Double {
        let graph = graph(inputs)
        let perform = try Operators.compile(graph.nodes[0], graph: graph)
        var generator = SeededGenerator(seed: 11)
        var weights: [Tensor] = []

        func loss(_ handles: [TorchTensor?]) throws -> TorchTensor {
            var frame = Frame(training: false, updatesStatistics: false)
            let results = try perform(&frame, handles).prefix(outputs)
            var sum: TorchTensor?
            for (index, result) in results.enumerated() {
                guard let result else { continue }
                if weights.count <= index { weights.append(.random(result.extents, &generator)) }
                // A handle alone keeps no tensor alive.
                let weight = try TorchTensor(weights[index])
                let weighted = try withExtendedLifetime(weight) {
                    try TorchTensor(ct_binary(CT_BINARY_MUL, result.handle, weight.handle))
                }
                let mean = try withExtendedLifetime(weighted) {
                    let axes = weighted.extents.indices.map(Int64.init)
                    return try TorchTensor(
                        ct_reduce(CT_REDUCE_MEAN, weighted.handle, axes, Int32(axes.count), false))
                }
                sum =
                    try sum.map { total in
                        try withExtendedLifetime((total, mean)) {
                            try TorchTensor(ct_binary(CT_BINARY_ADD, total.handle, mean.handle))
                        }
                    } ?? mean
            }
            return try existing(sum)
        }

        _ = ct_set_gradients(true)
        let handles = try inputs.enumerated().map { index, tensor in
            try tensor.map { tensor in
                let isLeaf = tensor.elementType == .float64 && !fixed.contains(index)
                let handle = try TorchTensor(tensor)
                return try withExtendedLifetime(handle) { isLeaf ? try TorchTensor(ct_leaf(handle.handle)) : handle }
            }
        }
        let total = try loss(handles)
        try withExtendedLifetime(total) { try CTorchStatus.check(ct_backward(total.handle)) }
        var (largest, error) = (0.0, 0.0)
        for (index, input) in inputs.enumerated() {
            guard let input, input.elementType == .float64, !fixed.contains(index) else { continue }
            let found = try TorchTensor(ct_gradient(handles[index]?.handle)).tensor().elements(as: Double.self)
            for element in 0..<input.elementCount {
                let sides: [Double] = try [1e-5, -1e-5].map { (step: Double) throws -> Double in
                    var moved = input
                    moved.withMutableElements(as: Double.self) { $0[element] += step }
                    var shifted = handles
                    shifted[index] = try TorchTensor(moved)
                    return try LossTensors.item(loss(shifted))
                }
                let expected = (sides[0] - sides[1]) / 2e-5
                largest = max(largest, abs(expected))
                error = max(error, abs(expected - found[element]))
            }
        }
        return error / max(largest, 1e-300)
    }
}

/// `#require` outside of a test's body.
private func existing<Value>(_ value: Value?) throws -> Value {
    guard let value else { throw EngineError.runtime("the operator gave no output") }
    return value
}

extension Tensor {
    init(_ doubles: [Double], _ extents: [Int]) {
        self.init(elements: doubles, elementType: .float64, shape: try! Shape(extents))
    }

    var doubles: [Double] { elements(as: Double.self) }

    /// Values in -1..<1.
    static func random(_ extents: [Int], _ generator: inout SeededGenerator) -> Tensor {
        Tensor((0..<extents.reduce(1, *)).map { _ in Double(generator.uniform()) * 2 - 1 }, extents)
    }

    /// The largest absolute difference; infinite between different shapes.
    func distance(_ other: Tensor) -> Double {
        guard shape == other.shape, elementType == other.elementType else { return .infinity }
        var largest = 0.0
        for (a, b) in zip(doubles, other.doubles) where a != b { largest = max(largest, abs(a - b)) }
        return largest
    }

    /// Row-major index of a place.
    func element(_ place: [Int]) -> Double {
        var index = 0
        for (step, extent) in zip(place, shape.dimensions) { index = index * extent + step }
        return withElements(as: Double.self) { $0[index] }
    }
}

/// The sum of a term over a sequence.
func sum<Values: Sequence>(_ values: Values, _ term: (Values.Element) -> Double) -> Double {
    var sum = 0.0
    for value in values { sum += term(value) }
    return sum
}

/// Every place of a tensor with these extents, row-major.
func places(_ extents: [Int]) -> [[Int]] {
    var places: [[Int]] = [[]]
    for extent in extents { places = places.flatMap { place in (0..<extent).map { place + [$0] } } }
    return places
}

/// Whether an error says all of this.
func says(_ texts: String...) -> (any Error) -> Bool { { error in texts.allSatisfy("\(error)".contains) } }
