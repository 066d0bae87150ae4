import CKernels
import Tensors

/// Writes containers of the update format (protocols/update-format.md). The encoder takes the smallest form it knows.
///
/// Deterministic: the same arguments give the same bytes on every processor.
public enum UpdateEncoder {
    /// Compresses `tensors` (float32, finite).
    /// - Parameters:
    ///   - masks: which elements are alive so far; dead ones are not sent.
    ///   - newMasks: when given, the container carries the change from `masks`, and values are aligned to these instead.
    ///   - seed: of stochastic rounding and rotation.
    ///   - threads: that share the work; the bytes do not depend on them.
    /// - Throws: `CodecError` for a tensor that is not float32, not finite or does not fit its mask, for an invalid
    ///   scheme, and when `header.maskEpoch` is not that of the masks the values are aligned to.
    public static func encode(
        _ tensors: NamedTensors, header: UpdateHeader, scheme: WireScheme, masks: MaskSet = MaskSet(),
        newMasks: MaskSet? = nil, seed: UInt64 = 0, threads: Int = 1
    ) throws(CodecError) -> EncodedUpdate {
        let layout = TensorLayout(tensors)
        var survey: UpdateSurvey?
        if scheme.budget != nil {
            var all = UpdateSurvey(layout: layout, masks: newMasks ?? masks)
            for (_, tensor) in tensors.ordered { try all.add(tensor) }
            survey = all
        }
        var writer = try UpdateWriter(
            layout: layout, header: header, scheme: scheme, masks: masks, newMasks: newMasks, seed: seed,
            threads: threads, survey: survey)
        var decoded = NamedTensors()
        var residual = NamedTensors()
        for (name, tensor) in tensors.ordered {
            let coded = try writer.append(tensor, keeping: .all)
            decoded[name] = coded.decoded
            residual[name] = coded.residual
        }
        let finished = writer.finish()
        return EncodedUpdate(
            bytes: finished.bytes, decoded: decoded, residual: residual, density: finished.density,
            bitsPerWeight: finished.bitsPerWeight)
    }

    static func check(
        _ header: UpdateHeader, _ scheme: WireScheme, _ layout: TensorLayout
    ) throws(CodecError) {
        guard header.base.count == UpdateHeader.baseByteCount else { throw .invalidBase(byteCount: header.base.count) }
        let limits = CodecLimits.default
        guard (1...limits.blockSize).contains(scheme.blockSize) else {
            throw .invalidScheme("block size \(scheme.blockSize) is outside 1...\(limits.blockSize)")
        }
        if case .topK(let density, _) = scheme.selection, !(density > 0 && density <= 1) {
            throw .invalidScheme("density \(density) is not above 0 and at most 1")
        }
        guard layout.entries.count <= limits.tensors else {
            throw .limitExceeded(field: "the count of tensors", value: layout.entries.count, limit: limits.tensors)
        }
        for entry in layout.entries where entry.elementCount > limits.tensorElements {
            throw .limitExceeded(
                field: "the element count of '\(entry.name)'", value: entry.elementCount, limit: limits.tensorElements)
        }
    }

    static func check(
        _ masks: MaskSet, _ newMasks: MaskSet?, _ header: UpdateHeader, _ layout: TensorLayout
    ) throws(CodecError) {
        let aligned = newMasks ?? masks
        guard header.maskEpoch == aligned.epoch else {
            throw .wrongMaskEpoch(expected: aligned.epoch, found: header.maskEpoch)
        }
        try masks.check(against: layout)
        guard let newMasks else { return }
        try newMasks.check(against: layout)
        // A change outside the layout could not be written down.
        var outside = masks.bitmaps
        var outsideNew = newMasks.bitmaps
        for entry in layout.entries {
            outside[entry.name] = nil
            outsideNew[entry.name] = nil
        }
        guard outside == outsideNew else {
            let names = Set(outside.keys).union(outsideNew.keys).filter { outside[$0] != outsideNew[$0] }
            throw .maskMismatch(
                tensor: names.min() ?? "", reason: "its mask changes, but the tensor is not in the update")
        }
    }
}

extension MaskSet {
    /// - Throws: `CodecError.maskMismatch` when a bitmap has another size than its tensor.
    func check(against layout: TensorLayout) throws(CodecError) {
        for entry in layout.entries {
            guard let bitmap = self[entry.name], bitmap.count != entry.elementCount else { continue }
            throw .maskMismatch(
                tensor: entry.name, reason: "the mask has \(bitmap.count) bits for \(entry.elementCount) elements")
        }
    }
}
