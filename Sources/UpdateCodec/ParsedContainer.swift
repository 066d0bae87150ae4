import Tensors

/// The structure of a container: everything but the values, which `UpdateReader` walks through.
struct ParsedContainer {
    let prefix: ContainerPrefix
    let body: ByteRegion
    let layoutTensors: Int
    let layoutElements: Int
    let maskSection: MaskSection?
    let newMasks: MaskSet?
    let records: [TensorRecord]

    /// - Parameters:
    ///   - layout: nil to explain a container without knowing its model; then masks are not expanded.
    ///   - bodyByteLimit: the most the body can need, checked before it is allocated.
    init(
        _ bytes: ByteRegion, limits: CodecLimits, expecting layout: TensorLayout?, masks: MaskSet, bodyByteLimit: Int,
        force: WorkForce = .alone
    ) throws(CodecError) {
        guard bytes.count <= limits.containerBytes else {
            throw .limitExceeded(field: "the container's size", value: bytes.count, limit: limits.containerBytes)
        }
        var reader = ByteReader(bytes)
        prefix = try ContainerPrefix(&reader, limits: limits)
        reader = try Self.unpack(prefix, reader, bodyByteLimit: bodyByteLimit, force)
        body = reader.bytes
        layoutTensors = try reader.varint("the count of tensors", limit: limits.tensors)
        layoutElements = try reader.varint("the count of elements", limit: Int.max)
        if let layout, layoutTensors != layout.entries.count || layoutElements != layout.elementCount {
            let found = "\(layoutTensors) tensors of \(layoutElements) elements"
            throw .layoutMismatch(
                tensor: layout.entries.first?.name ?? "",
                reason: "the update is for \(found), the model has \(layout.entries.count) of \(layout.elementCount)")
        }
        maskSection = prefix.carriesMasks ? try MaskSection(&reader, tensors: layoutTensors, limits: limits) : nil
        if let layout, let maskSection {
            newMasks = try maskSection.apply(to: masks, layout: layout, body: body)
        } else {
            newMasks = nil
        }
        let epoch = maskSection?.newEpoch ?? (layout == nil ? prefix.header.maskEpoch : masks.epoch)
        guard prefix.header.maskEpoch == epoch else {
            throw .wrongMaskEpoch(expected: epoch, found: prefix.header.maskEpoch)
        }
        records = try Self.readRecords(
            &reader, count: layoutTensors, limits: limits, layout: layout, masks: newMasks ?? masks)
        guard reader.remaining == 0 else { throw .trailingBytes(reader.remaining) }
    }

    private static func unpack(
        _ prefix: ContainerPrefix, _ reader: ByteReader, bodyByteLimit: Int, _ force: WorkForce
    ) throws(CodecError) -> ByteReader {
        guard prefix.bodyByteCount <= bodyByteLimit else {
            throw .limitExceeded(field: "the body size", value: prefix.bodyByteCount, limit: bodyByteLimit)
        }
        switch prefix.packing {
        case .stored:
            guard reader.remaining >= prefix.bodyByteCount else {
                throw .truncated(field: "the body", offset: reader.bytes.count)
            }
            guard reader.remaining == prefix.bodyByteCount else {
                throw .trailingBytes(reader.remaining - prefix.bodyByteCount)
            }
            return reader
        case .pieces:
            var reader = reader
            let body = try PackedPieces.unpack(&reader, byteCount: prefix.bodyByteCount, force: force)
            reader.bytes.release()
            return ByteReader(ByteRegion(body))
        }
    }

    private static func readRecords(
        _ reader: inout ByteReader, count tensorCount: Int, limits: CodecLimits, layout: TensorLayout?, masks: MaskSet
    ) throws(CodecError) -> [TensorRecord] {
        let count = try reader.varint("the count of records", limit: tensorCount)
        var records: [TensorRecord] = []
        var previous = -1
        for _ in 0..<count {
            let record = try TensorRecord(&reader, after: previous, limits: limits) {
                (index, elements, alive) throws(CodecError) in
                guard index < tensorCount else {
                    throw .layoutMismatch(
                        tensor: "#\(index)", reason: "the update itself speaks of \(tensorCount) tensors")
                }
                guard let layout else { return }
                let entry = layout.entries[index]
                guard elements == entry.elementCount else {
                    throw .layoutMismatch(
                        tensor: entry.name, reason: "it has \(elements) elements, the model's \(entry.elementCount)")
                }
                let expected = masks[entry.name]?.populationCount ?? elements
                guard alive == expected else {
                    throw .maskMismatch(
                        tensor: entry.name, reason: "the update counts \(alive) alive elements, the mask \(expected)")
                }
            }
            records.append(record)
            previous = record.index
        }
        return records
    }
}
