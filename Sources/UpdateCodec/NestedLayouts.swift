import Tensors

/// The part of a model's tensors that a narrower version of it has.
public struct NarrowLayout: Sendable, Equatable {
    /// Its tensors, by the names of the whole ones.
    public let layout: TensorLayout
    /// By tensor and axis: the indices of the whole tensor that it has, ascending. Axes that it has whole are left out.
    public let kept: [String: [Int: [Int]]]

    public init(layout: TensorLayout, kept: [String: [Int: [Int]]]) {
        self.layout = layout
        self.kept = kept
    }
}

/// A model's tensors and those of narrower versions of it, each within the one before (HeteroFL: Diao et al. 2021,
/// section 3): where an update of one of them belongs in the whole, and who has which elements.
///
/// The whole is width 0, the next narrower one width 1 and so on. Because widths are nested, an index of an axis has one
/// level, the narrowest width that has it, and an element belongs to the widths up to the least level of its indices: so
/// there is a number for each index of an axis, not for each element.
public struct NestedLayouts: Sendable, Equatable {
    public let whole: TensorLayout
    /// Widths 1, 2 ...
    public let narrow: [NarrowLayout]
    /// By tensor of the whole.
    let levels: [TensorLevels]
    /// By narrow width, then by its tensor: where it belongs.
    let places: [[TensorPlaces]]

    /// - Throws: `CodecError.layoutMismatch` for widths that are not nested or do not fit the whole.
    public init(whole: TensorLayout, narrow: [NarrowLayout]) throws(CodecError) {
        precondition(narrow.count < Int(UInt8.max), "\(narrow.count) widths")
        self.whole = whole
        self.narrow = narrow
        let indices = Dictionary(uniqueKeysWithValues: whole.entries.enumerated().map { ($1.name, $0) })
        var axes: [[[Int]]] = []
        var last = [Int](repeating: 0, count: whole.entries.count)
        for entry in whole.entries { axes.append(entry.shape.dimensions.map { [Int](repeating: 0, count: $0) }) }
        var places: [[TensorPlaces]] = []
        for (number, width) in narrow.enumerated() {
            var own: [TensorPlaces] = []
            for entry in width.layout.entries {
                guard let index = indices[entry.name], last[index] == number else {
                    throw Self.misfit(entry.name, "it is not in the next larger width")
                }
                let shape = whole.entries[index].shape
                let kept = width.kept[entry.name] ?? [:]
                try Self.raise(&axes[index], to: number + 1, entry, within: shape, kept)
                last[index] = number + 1
                own.append(TensorPlaces(index: index, whole: shape, narrow: entry.shape, kept: kept))
            }
            places.append(own)
        }
        self.places = places
        levels = zip(whole.entries, zip(axes, last)).map { entry, found in
            TensorLevels(shape: entry.shape, axes: found.0, last: found.1)
        }
    }

    /// Gives the indices that a narrower tensor keeps their next level.
    private static func raise(
        _ axes: inout [[Int]], to level: Int, _ entry: TensorLayout.Entry, within whole: Shape, _ kept: [Int: [Int]]
    ) throws(CodecError) {
        guard entry.shape.rank == whole.rank, kept.keys.allSatisfy(axes.indices.contains) else {
            throw misfit(entry.name, "a width gives it other axes")
        }
        for axis in axes.indices {
            let indices = kept[axis] ?? Array(0..<whole[axis])
            guard indices.count == entry.shape[axis], zip(indices, indices.dropFirst()).allSatisfy({ $0 < $1 }),
                (indices.first ?? 0) >= 0, (indices.last ?? -1) < whole[axis]
            else { throw misfit(entry.name, "the indices of axis \(axis) do not fit its extent \(whole[axis])") }
            for index in indices {
                guard axes[axis][index] == level - 1 else {
                    throw misfit(entry.name, "index \(index) of axis \(axis) is not in the next larger width")
                }
                axes[axis][index] = level
            }
        }
    }

    private static func misfit(_ tensor: String, _ reason: String) -> CodecError {
        .layoutMismatch(tensor: tensor, reason: reason)
    }
}

/// The narrowest width that has each element of one tensor.
struct TensorLevels: Sendable, Equatable {
    /// An axis that some width cuts.
    private struct Axis: Sendable, Equatable {
        let extent: Int
        let stride: Int
        let levels: [UInt8]
    }

    /// The narrowest width that has anything of the tensor.
    let last: Int
    /// From the outermost.
    private let axes: [Axis]
    /// Elements in a row that surely have one level.
    private let block: Int

    init(shape: Shape, axes levels: [[Int]], last: Int) {
        self.last = last
        var axes: [Axis] = []
        var stride = shape.elementCount
        for (axis, own) in levels.enumerated() where shape[axis] > 0 {
            stride /= shape[axis]
            guard own.contains(where: { $0 != last }) else { continue }
            axes.append(Axis(extent: shape[axis], stride: stride, levels: own.map(UInt8.init)))
        }
        self.axes = axes
        block = max(1, axes.last?.stride ?? shape.elementCount)
    }

    func level(of element: Int) -> Int {
        var level = last
        for axis in axes { level = min(level, Int(axis.levels[element / axis.stride % axis.extent])) }
        return level
    }

    /// Cuts a stretch of elements into runs of one level, in order.
    func forEachRun(in range: Range<Int>, _ body: (_ level: Int, _ run: Range<Int>) -> Void) {
        var start = range.lowerBound
        while start < range.upperBound {
            let level = level(of: start)
            var end = (start / block + 1) * block
            while end < range.upperBound, self.level(of: end) == level { end += block }
            end = min(end, range.upperBound)
            body(level, start..<end)
            start = end
        }
    }
}

/// Where a narrower tensor's elements are in the whole one.
struct TensorPlaces: Sendable, Equatable {
    private struct Axis: Sendable, Equatable {
        /// By index of the narrower tensor: elements of the whole one before it.
        let offsets: [Int]
    }

    /// Of the whole layout's tensor.
    let index: Int
    /// From the outermost to the last that is cut.
    private let axes: [Axis]
    /// Elements behind it that lie as in the whole tensor.
    private let block: Int

    init(index: Int, whole: Shape, narrow: Shape, kept: [Int: [Int]]) {
        self.index = index
        let cut = (kept.keys.max() ?? -1) + 1
        block = max(1, whole.dimensions[cut...].reduce(1, *))
        var stride = whole.dimensions.reduce(1, *)
        var axes: [Axis] = []
        for axis in 0..<cut {
            stride = whole[axis] > 0 ? stride / whole[axis] : 0
            let indices = kept[axis] ?? Array(0..<narrow[axis])
            axes.append(Axis(offsets: indices.map { $0 * stride }))
        }
        self.axes = axes
    }

    func place(of element: Int) -> Int {
        var (rest, place) = element.quotientAndRemainder(dividingBy: block)
        for axis in axes.reversed() {
            let (outer, index) = rest.quotientAndRemainder(dividingBy: axis.offsets.count)
            place += axis.offsets[index]
            rest = outer
        }
        return place
    }
}
