import ModelGraph
import Tensors

/// Which scale each element of a weight has. Elements and scales are row-major.
struct ScaleLayout: Sendable, Equatable {
    /// How many scales there are.
    let count: Int
    /// Runs of `inner` elements share an index of the axis before.
    private let inner: Int
    private let extent: Int
    private let size: Int
    private let isWhole: Bool

    /// One scale for all.
    init(whole shape: Shape) {
        (count, inner, extent, size, isWhole) = (1, 1, 1, 1, true)
    }

    /// One scale for each index of an axis. Precondition: the shape has it.
    init(shape: Shape, channelAxis axis: Int) {
        extent = shape[axis]
        (count, size, isWhole) = (extent, 0, false)
        inner = shape.dimensions[(axis + 1)...].reduce(1, *)
    }

    /// A scale for each element once an axis is divided by a block's size. Precondition: the shape has it; the size is positive.
    init(shape: Shape, blocks: QuantizedWeight.Blocks) {
        extent = shape[blocks.axis]
        size = blocks.size
        isWhole = false
        inner = shape.dimensions[(blocks.axis + 1)...].reduce(1, *)
        let outer = shape.dimensions[..<blocks.axis].reduce(1, *)
        count = outer * ((extent + size - 1) / size) * inner
    }

    /// The layout of a finished weight.
    init(_ weight: QuantizedWeight) {
        if let blocks = weight.blocks {
            self.init(shape: weight.values.shape, blocks: blocks)
        } else {
            self.init(shape: weight.values.shape, channelAxis: weight.axis)
        }
    }

    /// The scale's index. Precondition: the element is one of the weight's.
    @inline(__always)
    func index(ofElement element: Int) -> Int {
        if isWhole { return 0 }
        if size == 0 { return element / inner % extent }
        let (outer, rest) = element.quotientAndRemainder(dividingBy: extent * inner)
        let blocks = (extent + size - 1) / size
        return (outer * blocks + rest / inner / size) * inner + rest % inner
    }

    /// The elements of each scale, ascending: those of scale s are `order[starts[s]..<starts[s + 1]]`.
    func members(of elements: Int) -> (order: [Int32], starts: [Int]) {
        var starts = [Int](repeating: 0, count: count + 1)
        for element in 0..<elements { starts[index(ofElement: element) + 1] += 1 }
        for scale in 0..<count { starts[scale + 1] += starts[scale] }
        var next = starts
        var order = [Int32](repeating: 0, count: elements)
        for element in 0..<elements {
            let scale = index(ofElement: element)
            order[next[scale]] = Int32(element)
            next[scale] += 1
        }
        return (order, starts)
    }
}
