import ModelGraph
import Tensors

/// The numbers that a quantized weight's elements can be.
struct WeightGrid {
    private let layout: ScaleLayout
    private let scales: [Float]
    private let zeroPoints: [Int8]?
    private let set: LevelSet?
    private let lowest: Int
    private let highest: Int

    /// Precondition: the weight keeps its type's promises.
    init(_ weight: QuantizedWeight) {
        let layout = ScaleLayout(weight)
        precondition(
            weight.scales.count == layout.count && weight.zeroPoints.map { $0.count == layout.count } ?? true,
            "\(weight.scales.count) scales where \(layout.count) are needed")
        self.layout = layout
        (scales, zeroPoints) = (weight.scales, weight.zeroPoints)
        set = weight.codebook.map { LevelSet($0) }
        let half = 1 << (weight.bits - 1)
        lowest = weight.zeroPoints == nil ? -(half - 1) : -half
        highest = half - 1
    }

    /// What a code of an element stands for, never infinite.
    @inline(__always)
    func value(_ code: Int8, ofElement element: Int) -> Float {
        let scale = layout.index(ofElement: element)
        let steps: Float
        if let set {
            steps = set.levels[min(Int(UInt8(bitPattern: code)), set.levels.count - 1)]
        } else {
            steps = Float(Int(code) - Int(zeroPoints?[scale] ?? 0))
        }
        let limit = Float.greatestFiniteMagnitude
        return min(max(steps * scales[scale], -limit), limit)
    }

    /// The code nearest to a value. Precondition: finite.
    @inline(__always)
    func nearest(_ value: Double, element: Int) -> Int8 {
        let scale = layout.index(ofElement: element)
        let steps = value / Double(scales[scale])
        if let set { return Int8(bitPattern: UInt8(set.nearest(Float(steps)))) }
        return code(steps.rounded(.toNearestOrEven), scale)
    }

    /// The codes on either side of a value; equal where it lies beyond all levels, and for 0.
    func neighbours(_ value: Double, element: Int) -> (below: Int8, above: Int8) {
        let scale = layout.index(ofElement: element)
        let steps = value / Double(scales[scale])
        guard value != 0 else {
            let zero = nearest(0, element: element)
            return (zero, zero)
        }
        guard let set else { return (code(steps.rounded(.down), scale), code(steps.rounded(.up), scale)) }
        let nearest = set.nearest(Float(steps))
        let level = Double(set.levels[nearest])
        let below = level > steps ? max(nearest - 1, 0) : nearest
        let above = level < steps ? min(nearest + 1, set.levels.count - 1) : nearest
        return (Int8(bitPattern: UInt8(below)), Int8(bitPattern: UInt8(above)))
    }

    @inline(__always)
    private func code(_ steps: Double, _ scale: Int) -> Int8 {
        let zeroPoint = Int(zeroPoints?[scale] ?? 0)
        let within = min(max(steps, Double(lowest - zeroPoint)), Double(highest - zeroPoint))
        return Int8(Int(within) + zeroPoint)
    }
}

extension QuantizedWeight {
    /// What the codes stand for: float32 of the weight's shape. Precondition: the weight keeps its type's promises.
    public func dequantized() -> Tensor {
        let grid = WeightGrid(self)
        return values.withElements(as: Int8.self) { codes in
            Tensor(float32: values.shape) { result in
                for index in codes.indices { result[index] = grid.value(codes[index], ofElement: index) }
            }
        }
    }

    /// The same scales and levels with other codes. Precondition: as many as there are weights.
    func replacing(codes: [Int8]) -> QuantizedWeight {
        QuantizedWeight(
            values: Tensor(elements: codes, elementType: .int8, shape: values.shape), scales: scales, axis: axis,
            bits: bits, zeroPoints: zeroPoints, blocks: blocks, codebook: codebook)
    }
}
