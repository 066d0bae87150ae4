import Tensors

/// A small tensor whose value is known before running: what exporters compute shapes from.
struct HostTensor {
    enum Values {
        /// Integers and truth values (0 and 1).
        case integers([Int64])
        case reals([Double])
    }

    let type: ElementType
    let shape: Shape
    let values: Values

    /// Most elements of a value followed on the host: shapes are short, so anything longer is data.
    static let elementLimit = 1_024

    /// nil where there are too many elements, or one that the type cannot hold.
    init?(type: ElementType, shape: Shape, integers: [Int64]) {
        guard integers.count == shape.elementCount, integers.count <= Self.elementLimit else { return nil }
        switch type {
        case .int64: break
        case .int32: guard integers.allSatisfy({ Int32(exactly: $0) != nil }) else { return nil }
        case .bool: guard integers.allSatisfy({ $0 == 0 || $0 == 1 }) else { return nil }
        default: return nil
        }
        (self.type, self.shape, values) = (type, shape, .integers(integers))
    }

    /// Rounds to the type, as a runtime that computes in it does.
    init?(type: ElementType, shape: Shape, reals: [Double]) {
        guard reals.count == shape.elementCount, reals.count <= Self.elementLimit else { return nil }
        switch type {
        case .float32: values = .reals(reals.map { Double(Float($0)) })
        case .float64: values = .reals(reals)
        default: return nil
        }
        (self.type, self.shape) = (type, shape)
    }

    init?(type: ElementType, shape: Shape, values: Values) {
        switch values {
        case .integers(let integers): self.init(type: type, shape: shape, integers: integers)
        case .reals(let reals): self.init(type: type, shape: shape, reals: reals)
        }
    }

    init?(_ tensor: Tensor) {
        guard tensor.elementCount <= Self.elementLimit else { return nil }
        let (type, shape) = (tensor.elementType, tensor.shape)
        switch type {
        case .int64: self.init(type: type, shape: shape, integers: tensor.elements(as: Int64.self))
        case .int32: self.init(type: type, shape: shape, integers: tensor.elements(as: Int32.self).map(Int64.init))
        case .bool: self.init(type: type, shape: shape, integers: tensor.bytes.map { $0 == 0 ? 0 : 1 })
        case .float32: self.init(type: type, shape: shape, reals: tensor.elements(as: Float.self).map(Double.init))
        case .float64: self.init(type: type, shape: shape, reals: tensor.elements(as: Double.self))
        default: return nil
        }
    }

    var integers: [Int64]? { if case .integers(let integers) = values { integers } else { nil } }
    var reals: [Double]? { if case .reals(let reals) = values { reals } else { nil } }

    /// The same values under another shape of as many elements.
    func reshaped(_ shape: Shape) -> HostTensor? { HostTensor(type: type, shape: shape, values: values) }

    /// The value whose element at an index is this one's element at `source` of that index.
    func rearranged(to shape: Shape, _ source: ([Int]) -> [Int]?) -> HostTensor? {
        guard shape.elementCount <= Self.elementLimit else { return nil }
        var places: [Int] = []
        for element in 0..<shape.elementCount {
            guard let index = source(shape.index(of: element)), let place = self.shape.element(at: index) else {
                return nil
            }
            places.append(place)
        }
        switch values {
        case .integers(let integers): return HostTensor(type: type, shape: shape, integers: places.map { integers[$0] })
        case .reals(let reals): return HostTensor(type: type, shape: shape, reals: places.map { reals[$0] })
        }
    }

    /// The element that a broadcast to `shape` puts at an index.
    static func broadcastIndex(_ index: [Int], to shape: Shape) -> [Int] {
        let skipped = index.count - shape.rank
        return shape.dimensions.indices.map { shape[$0] == 1 ? 0 : index[$0 + skipped] }
    }
}

extension Shape {
    /// The index along each axis of an element counted in row-major order.
    func index(of element: Int) -> [Int] {
        var (rest, index) = (element, dimensions)
        for axis in dimensions.indices.reversed() {
            index[axis] = rest % dimensions[axis]
            rest /= dimensions[axis]
        }
        return index
    }

    /// The element at an index, or nil outside the shape.
    func element(at index: [Int]) -> Int? {
        guard index.count == rank else { return nil }
        var element = 0
        for (place, extent) in zip(index, dimensions) {
            guard place >= 0, place < extent else { return nil }
            element = element * extent + place
        }
        return element
    }
}
