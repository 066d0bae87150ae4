import CTorch
import Tensors

/// Which columns of an image a layer multiplies: `rows` places below each other, `dilation` apart, at steps over the image
/// padded with zeros. Rows of numbers without places are images of one pixel.
public struct RowWindow: Sendable, Equatable {
    public var rows = 1
    public var rowStep = 1
    public var dilation = 1
    public var columnStep = 1
    /// Zeros around the image.
    public var top = 0
    public var bottom = 0
    public var left = 0
    public var right = 0

    public init() {}
}

/// Σ p pᵀ over what a layer multiplies, in double. Sums of several batches add up. Owned by one thread.
public struct SecondMomentSum: Sendable {
    /// [channels x rows, channels x rows], row-major.
    public private(set) var sum: [Double]
    /// How many p were added.
    public private(set) var places = 0
    /// The length of p.
    public let size: Int

    public init(size: Int) {
        self.size = size
        sum = Array(repeating: 0, count: size * size)
    }

    /// Adds the columns of float32 images [samples, channels, height, width].
    /// - Throws: `EngineError.badBatch` for a tensor of another type or shape, `.runtime`.
    public mutating func add(_ images: Tensor, window: RowWindow) throws(EngineError) {
        let extents = images.shape.dimensions.map(Int64.init)
        guard images.elementType == .float32, extents.count == 4, images.elementCount > 0,
            extents[1] * Int64(window.rows) == Int64(size),
            extents[2] + Int64(window.top + window.bottom) > Int64((window.rows - 1) * window.dilation)
        else { throw .badBatch("inputs of \(images.elementType) \(images.shape) do not fit moments of \(size)") }
        let native = CTRowWindow(
            rows: Int64(window.rows), row_step: Int64(window.rowStep), dilation: Int64(window.dilation),
            top: Int64(window.top), bottom: Int64(window.bottom), column_step: Int64(window.columnStep),
            left: Int64(window.left), right: Int64(window.right))
        var added: Int64 = 0
        let status = images.withElements(as: Float.self) { values in
            ct_add_second_moment(
                values.baseAddress, extents[0], extents[1], extents[2], extents[3], native, &sum, &added)
        }
        try CTorchStatus.check(status)
        places += Int(added)
    }
}
