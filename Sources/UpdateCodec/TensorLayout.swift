import Tensors

/// Names, shapes and order of a snapshot's tensors: what an update refers to by index.
public struct TensorLayout: Sendable, Equatable {
    public struct Entry: Sendable, Equatable {
        public let name: String
        public let elementCount: Int
        public let shape: Shape
    }

    public let entries: [Entry]

    /// Elements over all tensors.
    public let elementCount: Int

    /// The layout of `tensors`, in their order.
    public init(_ tensors: NamedTensors) {
        entries = tensors.ordered.map {
            Entry(name: $0.name, elementCount: $0.tensor.elementCount, shape: $0.tensor.shape)
        }
        elementCount = tensors.elementCount
    }

    /// The layout of tensors of these names and shapes.
    public init(_ tensors: some Sequence<(name: String, shape: Shape)>) {
        entries = tensors.map { Entry(name: $0.name, elementCount: $0.shape.elementCount, shape: $0.shape) }
        elementCount = entries.reduce(0) { $0 + $1.elementCount }
    }

    /// The tensors of these names that are here, in the order of the names.
    public func subset(of names: [String]) -> TensorLayout {
        let known = Dictionary(entries.map { ($0.name, $0.shape) }, uniquingKeysWith: { first, _ in first })
        return TensorLayout(names.compactMap { name in known[name].map { (name: name, shape: $0) } })
    }

    /// The largest body a container for this layout can need: every record with positions, float32 values and all its
    /// fields at their longest, and a full bitmap for each mask. Saturates instead of overflowing.
    var largestBodyByteCount: Int {
        entries.reduce(64) { sum, entry in
            let (values, tooMany) = entry.elementCount.multipliedReportingOverflow(by: 6)
            let (next, tooLarge) = sum.addingReportingOverflow(tooMany ? Int.max : values)
            let (total, overflow) = next.addingReportingOverflow(1024)
            return tooLarge || overflow ? Int.max : total
        }
    }
}
