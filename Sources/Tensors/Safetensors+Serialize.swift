extension Safetensors {
    /// The canonical bytes of `tensors`: header keys and data in tensor order, metadata sorted by its UTF-8 bytes, the
    /// header padded with spaces to a multiple of 8. Equal values give equal bytes on every machine.
    ///
    /// Precondition: no tensor is called `__metadata__`, a name the format reserves.
    public static func serialize(_ tensors: NamedTensors, metadata: [String: String] = [:]) -> [UInt8] {
        let ordered = tensors.ordered
        var bytes = header(
            of: ordered.map { (name: $0.name, elementType: $0.tensor.elementType, shape: $0.tensor.shape) },
            metadata: metadata)
        bytes.reserveCapacity(bytes.count + ordered.reduce(0) { $0 + $1.tensor.bytes.count })
        for (_, tensor) in ordered { bytes.append(contentsOf: tensor.bytes) }
        return bytes
    }

    /// The bytes of a canonical file up to its first tensor; the tensors' bytes follow in this order, without gaps.
    ///
    /// Precondition: no tensor is called `__metadata__`, and no two have the same name.
    public static func header(
        of tensors: [(name: String, elementType: ElementType, shape: Shape)], metadata: [String: String] = [:]
    ) -> [UInt8] {
        var header: [UInt8] = [UInt8(ascii: "{")]
        if !metadata.isEmpty {
            appendMetadata(metadata, to: &header)
            if !tensors.isEmpty { header.append(UInt8(ascii: ",")) }
        }
        var offset = 0
        for (index, (name, elementType, shape)) in tensors.enumerated() {
            precondition(name != "__metadata__", "safetensors reserves the name '__metadata__'")
            if index > 0 { header.append(UInt8(ascii: ",")) }
            appendString(name, to: &header)
            let extents = shape.dimensions.map(String.init).joined(separator: ",")
            let end = offset + shape.elementCount * elementType.byteCount
            let type = elementType.safetensorsName
            header.append(
                contentsOf: ":{\"dtype\":\"\(type)\",\"shape\":[\(extents)],\"data_offsets\":[\(offset),\(end)]}".utf8)
            offset = end
        }
        header.append(UInt8(ascii: "}"))
        while header.count % 8 != 0 { header.append(UInt8(ascii: " ")) }
        var bytes: [UInt8] = []
        for shift in 0..<8 { bytes.append(UInt8(truncatingIfNeeded: header.count >> (8 * shift))) }
        return bytes + header
    }

    private static func appendMetadata(_ metadata: [String: String], to header: inout [UInt8]) {
        header.append(contentsOf: "\"__metadata__\":{".utf8)
        let sorted = metadata.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
        for (index, (key, value)) in sorted.enumerated() {
            if index > 0 { header.append(UInt8(ascii: ",")) }
            appendString(key, to: &header)
            header.append(UInt8(ascii: ":"))
            appendString(value, to: &header)
        }
        header.append(UInt8(ascii: "}"))
    }

    private static func appendString(_ string: String, to header: inout [UInt8]) {
        let digits = Array("0123456789abcdef".utf8)
        header.append(UInt8(ascii: "\""))
        for byte in string.utf8 {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"): header.append(contentsOf: [UInt8(ascii: "\\"), byte])
            case 0..<0x20:
                header.append(contentsOf: "\\u00".utf8)
                header.append(contentsOf: [digits[Int(byte >> 4)], digits[Int(byte & 15)]])
            default: header.append(byte)
            }
        }
        header.append(UInt8(ascii: "\""))
    }
}

extension ElementType {
    /// The format's name of this type.
    var safetensorsName: String {
        switch self {
        case .float32: "F32"
        case .float16: "F16"
        case .bfloat16: "BF16"
        case .float64: "F64"
        case .int8: "I8"
        case .uint8: "U8"
        case .int16: "I16"
        case .int32: "I32"
        case .int64: "I64"
        case .bool: "BOOL"
        }
    }

    init?(safetensorsName name: String) {
        guard let type = ElementType.allCases.first(where: { $0.safetensorsName == name }) else { return nil }
        self = type
    }
}
