/// The extents of a tensor, outermost first; the empty shape is a scalar. Extents are never negative.
public struct Shape: Hashable, Sendable, Codable, ExpressibleByArrayLiteral, CustomStringConvertible {
    public let dimensions: [Int]

    /// The number of elements: the product of the extents (1 for a scalar).
    public let elementCount: Int

    /// - Throws: `TensorError.invalidShape` for a negative extent or a product that overflows `Int`.
    public init(_ dimensions: [Int]) throws(TensorError) {
        var count = 1
        for dimension in dimensions {
            let (product, overflow) = count.multipliedReportingOverflow(by: dimension)
            guard dimension >= 0, !overflow else { throw .invalidShape(dimensions) }
            count = product
        }
        self.dimensions = dimensions
        self.elementCount = count
    }

    /// For shapes written in source; traps on an invalid one.
    public init(arrayLiteral elements: Int...) {
        guard let shape = try? Shape(elements) else { preconditionFailure("invalid shape \(elements)") }
        self = shape
    }

    public var rank: Int { dimensions.count }

    public subscript(axis: Int) -> Int { dimensions[axis] }

    public var description: String { "[" + dimensions.map(String.init).joined(separator: ", ") + "]" }
}
