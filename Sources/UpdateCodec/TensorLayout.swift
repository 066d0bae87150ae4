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

    /// The largest body a container for this layout can need: every record with a bitmap, float32 values and all its
    /// fields at their longest, and a full bitmap for each mask. Saturates instead of overflowing.
    var largestBodyByteCount: Int {
        entries.reduce(64) { sum, entry in
            let (values, tooMany) = entry.elementCount.multipliedReportingOverflow(by: 5)
            let (next, tooLarge) = sum.addingReportingOverflow(tooMany ? Int.max : values)
            let (total, overflow) = next.addingReportingOverflow(128)
            return tooLarge || overflow ? Int.max : total
        }
    }
}
