import CTorch
import ModelGraph
import Tensors

/// Brings samples of planes to the size of another model's input: ONNX's Resize with half-pixel coordinates, bilinear
/// without antialiasing or nearest with ties to the lower neighbour.
public struct InputResizing: Sendable, Equatable {
    public enum Method: String, Sendable, Equatable, CaseIterable {
        case nearest
        case bilinear
    }

    public let method: Method
    /// Of the result.
    public let height: Int
    public let width: Int

    public init(_ method: Method, height: Int, width: Int) {
        precondition(height > 0 && width > 0, "\(height)x\(width)")
        self.method = method
        self.height = height
        self.width = width
    }

    /// What must be done to samples of one model's input before another model sees them.
    /// - Parameters:
    ///   - samples: the shape of one sample.
    ///   - method: nil where nobody said how to resize.
    /// - Returns: nil where the samples fit as they are.
    /// - Throws: `EngineError.badSetting` with both shapes, where they fit neither way.
    public static func between(
        samples: [Int], model: Graph, method: Method?
    ) throws(EngineError) -> InputResizing? {
        guard
            let needed = model.inputs.first?.dimensions?.dropFirst().map({ dimension -> Int? in
                if case .fixed(let extent) = dimension { extent } else { nil }
            })
        else { return nil }
        func text(_ extents: [Int?]) -> String { extents.map { $0.map(String.init) ?? "?" }.joined(separator: "x") }
        func fits(_ a: Int?, _ b: Int) -> Bool { a == nil || a == b }
        if needed.count == samples.count, zip(needed, samples).allSatisfy(fits) { return nil }
        let shapes = "it takes \(text(needed)) and the samples are \(text(samples))"
        guard needed.count == 3, samples.count == 3, fits(needed[0], samples[0]) else {
            throw .badSetting("\(shapes), which no resizing mends")
        }
        guard let method else {
            throw .badSetting("\(shapes): say how to resize them, nearest or bilinear")
        }
        let (height, width) = (needed[1] ?? samples[1], needed[2] ?? samples[2])
        guard height > 0, width > 0 else { throw .badSetting("\(shapes), which no resizing mends") }
        return InputResizing(method, height: height, width: width)
    }

    /// Every input of four axes in the new size.
    /// - Parameter inputs: float32 `[n, channels, height, width]`.
    public func apply(_ inputs: NamedTensors) throws(EngineError) -> NamedTensors {
        var resized = NamedTensors()
        for (name, tensor) in inputs.ordered { resized[name] = tensor.shape.rank == 4 ? try apply(tensor) : tensor }
        return resized
    }

    private func apply(_ tensor: Tensor) throws(EngineError) -> Tensor {
        let sides = [(2, height), (3, width)].filter { tensor.shape[$0.0] != $0.1 }
        let axes = sides.map { axis, output in
            CTResizeAxis(
                axis: Int64(axis), input: Int64(tensor.shape[axis]), output: Int64(output),
                scale: Double(output) / Double(tensor.shape[axis]), start: 0, end: 1)
        }
        guard !axes.isEmpty else { return tensor }
        var settings = CTResize()
        settings.mode = Int32(method == .nearest ? CT_NEAREST : CT_LINEAR)
        settings.coordinates = Int32(CT_HALF_PIXEL)
        settings.nearest = Int32(CT_ROUND_PREFER_FLOOR)
        settings.cubic_coefficient = -0.75
        let source = try TorchTensor(tensor)
        return try TorchTensor(ct_resize(source.handle, axes, Int32(axes.count), &settings)).tensor()
    }
}
