import CKernels
import Tensors

/// What a byte budget needs to know of all tensors before the first of them is written: how large their magnitudes are.
/// Tensors are shown to it in the layout's order, and then to an `UpdateWriter` once more.
public struct UpdateSurvey: Sendable {
    let layout: TensorLayout
    private let masks: MaskSet
    /// Of each tensor so far: alive elements by the upper bits of their magnitude (`pleach_sample_magnitudes`).
    private(set) var counts: [[UInt32]] = []

    /// - Parameter masks: those the values will be aligned to.
    public init(layout: TensorLayout, masks: MaskSet = MaskSet()) {
        self.layout = layout
        self.masks = masks
    }

    var isComplete: Bool { counts.count == layout.entries.count }

    /// Looks at the layout's next tensor. Precondition: it has that tensor's shape.
    /// - Throws: `CodecError.notFloat32` or `.notFinite`.
    public mutating func add(_ tensor: borrowing Tensor) throws(CodecError) {
        precondition(!isComplete, "all tensors of the layout were surveyed")
        let entry = layout.entries[counts.count]
        precondition(tensor.shape == entry.shape, "'\(entry.name)' has another shape")
        guard tensor.elementType == .float32 else {
            throw .notFloat32(tensor: entry.name, found: tensor.elementType)
        }
        var bins = [UInt32](repeating: 0, count: 2048)
        tensor.withElements(as: Float.self) { all in
            guard let mask = masks[entry.name] else {
                pleach_sample_magnitudes(all.baseAddress, all.count, 1, &bins)
                return
            }
            withUnsafeTemporaryAllocation(of: Float.self, capacity: max(1, mask.populationCount)) { alive in
                let count = pleach_gather_ones(all.baseAddress, mask.bytes, mask.count, alive.baseAddress)
                pleach_sample_magnitudes(alive.baseAddress, count, 1, &bins)
            }
        }
        // Bins from 0x7f8 on hold infinities and NaN.
        guard bins[0x7f8...].allSatisfy({ $0 == 0 }) else { throw .notFinite(tensor: entry.name) }
        counts.append(bins)
    }
}
