import Engine
import ModelGraph
import Tensors
import Testing

struct InputResizingTests {
    private static func planes(_ extents: [Int], seed: UInt64) throws -> Tensor {
        var random = SeededGenerator(seed: seed)
        let shape = try Shape(extents)
        return Tensor((0..<shape.elementCount).map { _ in random.uniform() }, shape: shape)
    }

    /// ONNX Resize, half-pixel, without antialiasing, one output pixel after the other.
    private static func reference(
        _ x: [Float], _ height: Int, _ width: Int, to newHeight: Int, _ newWidth: Int, _ method: InputResizing.Method
    ) -> [Float] {
        func place(_ index: Int, _ old: Int, _ new: Int) -> Double {
            (Double(index) + 0.5) * Double(old) / Double(new) - 0.5
        }
        func value(_ row: Int, _ column: Int) -> Double {
            Double(x[min(max(row, 0), height - 1) * width + min(max(column, 0), width - 1)])
        }
        var result: [Float] = []
        for i in 0..<newHeight {
            for j in 0..<newWidth {
                let (y, z) = (place(i, height, newHeight), place(j, width, newWidth))
                guard method == .bilinear else {
                    // Half goes to the lower neighbour.
                    let (row, column) = (Int((y - 0.5).rounded(.up)), Int((z - 0.5).rounded(.up)))
                    result.append(Float(value(row, column)))
                    continue
                }
                let (row, column) = (Int(y.rounded(.down)), Int(z.rounded(.down)))
                let (a, b) = (y - Double(row), z - Double(column))
                let upper = value(row, column) * (1 - b) + value(row, column + 1) * b
                let lower = value(row + 1, column) * (1 - b) + value(row + 1, column + 1) * b
                result.append(Float(upper * (1 - a) + lower * a))
            }
        }
        return result
    }

    @Test(arguments: InputResizing.Method.allCases, [(5, 7), (3, 2), (4, 4), (8, 3)])
    func agreesWithTheFormula(method: InputResizing.Method, size: (Int, Int)) throws {
        let x = try Self.planes([2, 3, 4, 5], seed: 7)
        let resized = try InputResizing(method, height: size.0, width: size.1).apply(NamedTensors([("x", x)]))
        let found = try resized.require("x")
        #expect(found.shape.dimensions == [2, 3, size.0, size.1])
        for plane in 0..<6 {
            let expected = Self.reference(
                Array(x.floats[plane * 20..<plane * 20 + 20]), 4, 5, to: size.0, size.1, method)
            let count = size.0 * size.1
            for (index, value) in expected.enumerated() {
                #expect(abs(found.floats[plane * count + index] - value) < 1e-6)
            }
        }
    }

    private static func model(_ input: [Int]) throws -> Graph {
        try ModelBuilder.build(architecture: "cnn", inputShape: input, classes: 3, width: 4, seed: 1)
    }

    @Test func fitsNeedNothing() throws {
        #expect(
            try InputResizing.between(samples: [3, 16, 16], model: Self.model([3, 16, 16]), method: .nearest) == nil)
        #expect(
            try InputResizing.between(samples: [3, 16, 16], model: Self.model([3, 32, 24]), method: .bilinear)
                == InputResizing(.bilinear, height: 32, width: 24))
    }

    @Test func nothingIsResizedToNothing() throws {
        var model = try Self.model([3, 32, 32])
        model.inputs[0].dimensions = [.symbolic("n"), .fixed(3), .fixed(0), .fixed(0)]
        #expect(throws: EngineError.self) {
            try InputResizing.between(samples: [3, 16, 16], model: model, method: .bilinear)
        }
    }

    @Test func misfitsAreNamed() throws {
        let model = try Self.model([3, 32, 32])
        for (samples, method, phrase) in [
            ([3, 16, 16], nil, "takes 3x32x32 and the samples are 3x16x16: say how to resize them"),
            ([1, 16, 16], .nearest, "which no resizing mends"), ([3, 16], .nearest, "which no resizing mends"),
        ] as [([Int], InputResizing.Method?, String)] {
            let error = try #require(throws: EngineError.self) {
                try InputResizing.between(samples: samples, model: model, method: method)
            }
            #expect("\(error)".contains(phrase), "\(error)")
        }
    }
}
