import CTorch
import Tensors

/// Which patches of an image a layer multiplies: `rows` x `columns` places, `dilation` and `columnDilation` apart, at steps over
/// the image padded with zeros. Rows of numbers without places are images of one pixel.
public struct PatchWindow: Sendable, Equatable {
    public var rows = 1
    public var rowStep = 1
    public var dilation = 1
    public var columns = 1
    public var columnStep = 1
    public var columnDilation = 1
    /// Zeros around the image.
    public var top = 0
    public var bottom = 0
    public var left = 0
    public var right = 0

    public init() {}

    /// Whether its numbers are such that it lies within some image and moves over it.
    fileprivate var isSensible: Bool {
        [rows, rowStep, dilation, columns, columnStep, columnDilation].allSatisfy((1...Self.limit).contains)
            && [top, bottom, left, right].allSatisfy((0...Self.limit).contains)
    }

    /// Extents come from files: products of two must stay far from the largest integer.
    private static let limit = 1 << 24

    /// How many rows or columns of an image a window spans.
    fileprivate var span: (height: Int, width: Int) { ((rows - 1) * dilation + 1, (columns - 1) * columnDilation + 1) }
}

/// Σ p pᵀ over what a layer multiplies, in double, by groups of channels. Sums of several batches add up. Owned by one thread.
public struct SecondMomentSum: Sendable {
    /// [groups, size, size], row-major.
    public private(set) var sum: [Double]
    /// How many p of each group were added.
    public private(set) var places = 0
    /// The length of p: channels of a group x rows x columns, and one more for the constant.
    public let size: Int
    public let groups: Int
    /// Whether every p ends with a 1, so that the last row of the sum is Σ p.
    public let hasConstant: Bool

    /// Precondition: the extents are positive.
    public init(size: Int, groups: Int = 1, hasConstant: Bool = false) {
        precondition(size > (hasConstant ? 1 : 0) && groups > 0, "moments of \(groups) x \(size)")
        (self.size, self.groups, self.hasConstant) = (size, groups, hasConstant)
        sum = Array(repeating: 0, count: groups * size * size)
    }

    /// Adds the patches of float32 images [samples, channels, height, width].
    /// - Throws: `EngineError.badBatch` for a tensor of another type or shape, or a window that does not fit it; `.runtime`.
    public mutating func add(_ images: Tensor, window: PatchWindow) throws(EngineError) {
        let extents = images.shape.dimensions
        guard images.elementType == .float32, extents.count == 4, images.elementCount > 0, window.isSensible,
            extents[1].isMultiple(of: groups),
            elements(extents[1] / groups, window) == size - (hasConstant ? 1 : 0),
            extents[2] + window.top + window.bottom >= window.span.height,
            extents[3] + window.left + window.right >= window.span.width
        else { throw .badBatch("inputs of \(images.elementType) \(images.shape) do not fit moments of \(size)") }
        let native = CTPatchWindow(
            rows: Int64(window.rows), row_step: Int64(window.rowStep), dilation: Int64(window.dilation),
            top: Int64(window.top), bottom: Int64(window.bottom), columns: Int64(window.columns),
            column_step: Int64(window.columnStep), column_dilation: Int64(window.columnDilation),
            left: Int64(window.left), right: Int64(window.right))
        var added: Int64 = 0
        let status = images.withElements(as: Float.self) { values in
            ct_add_second_moment(
                values.baseAddress, Int64(extents[0]), Int64(extents[1]), Int64(extents[2]), Int64(extents[3]),
                Int64(groups), hasConstant, native, &sum, &added)
        }
        try CTorchStatus.check(status)
        places += Int(added)
    }

    /// Numbers of a patch, or 0 where they are too many to count.
    private func elements(_ channels: Int, _ window: PatchWindow) -> Int {
        let (product, overflow) = channels.multipliedReportingOverflow(by: window.rows * window.columns)
        return overflow ? 0 : product
    }
}
