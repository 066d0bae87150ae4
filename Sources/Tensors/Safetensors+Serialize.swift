extension Safetensors {
    /// The canonical bytes of `tensors`: header keys and data in tensor order, metadata sorted by its UTF-8 bytes, the
    /// header padded with spaces to a multiple of 8. Equal values give equal bytes on every machine.
    ///
    /// Precondition: no tensor is called `__metadata__`, a name the format reserves.
    public static func serialize(_ tensors: NamedTensors, metadata: [String: String] = [:]) -> [UInt8] {
        precondition(tensors["__metadata__"] == nil, "safetensors reserves the name '__metadata__'")
        let ordered = tensors.ordered
        var header: [UInt8] = [UInt8(ascii: "{")]
        if !metadata.isEmpty {
            appendMetadata(metadata, to: &header)
            if !ordered.isEmpty { header.append(UInt8(ascii: ",")) }
        }
        var offset = 0
        for (index, (name, tensor)) in ordered.enumerated() {
            if index > 0 { header.append(UInt8(ascii: ",")) }
            appendString(name, to: &header)
            let shape = tensor.shape.dimensions.map(String.init).joined(separator: ",")
            let end = offset + tensor.bytes.count
            let type = tensor.elementType.safetensorsName
            header.append(
                contentsOf: ":{\"dtype\":\"\(type)\",\"shape\":[\(shape)],\"data_offsets\":[\(offset),\(end)]}".utf8)
            offset = end
        }
        header.append(UInt8(ascii: "}"))
        while header.count % 8 != 0 { header.append(UInt8(ascii: " ")) }

        var bytes: [UInt8] = []
        bytes.reserveCapacity(8 + header.count + offset)
        for shift in 0..<8 { bytes.append(UInt8(truncatingIfNeeded: header.count >> (8 * shift))) }
        bytes.append(contentsOf: header)
        for (_, tensor) in ordered { bytes.append(contentsOf: tensor.bytes) }
        return bytes
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
