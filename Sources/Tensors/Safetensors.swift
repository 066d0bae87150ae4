/// The safetensors file format: an 8-byte little-endian header length, a JSON header, then the tensors' bytes.
///
/// Source: https://github.com/huggingface/safetensors#format. Everything is validated before any tensor is handed out;
/// stricter than the reference in one point: a tensor entry may hold only `dtype`, `shape` and `data_offsets`.
public enum Safetensors {
    /// The largest header accepted, in bytes: the reference implementation's limit.
    public static let headerByteLimit = 100_000_000

    /// The most extents a shape may have.
    static let rankLimit = 64

    /// Reads a file.
    /// - Throws: `TensorError.unreadableFile`, `.malformedFile`, `.duplicateTensor`.
    public static func read(
        path: String
    ) throws(TensorError) -> (tensors: NamedTensors, metadata: [String: String]) {
        try parse(try FileBytes.read(path: path), path: path)
    }

    /// Writes a file in one step.
    /// - Throws: `TensorError.unwritableFile`.
    public static func write(
        _ tensors: NamedTensors, metadata: [String: String] = [:], path: String
    ) throws(TensorError) {
        try FileBytes.write(serialize(tensors, metadata: metadata), path: path)
    }

    /// Reads a file's bytes; `path` only serves messages. Tensors come in the order of their offsets.
    public static func parse(
        _ bytes: [UInt8], path: String
    ) throws(TensorError) -> (tensors: NamedTensors, metadata: [String: String]) {
        let header = try readHeader(byteCount: bytes.count, path: path) { bytes[$0] }
        var tensors = NamedTensors()
        for entry in header.entries {
            let range = header.dataStart + entry.begin..<header.dataStart + entry.end
            // A Bool in memory may only be 0 or 1; another byte would be undefined behaviour in whoever views it.
            if entry.elementType == .bool, let bad = bytes[range].first(where: { $0 > 1 }) {
                throw .malformedFile(path: path, reason: "tensor '\(entry.name)' of type BOOL holds the byte \(bad)")
            }
            tensors[entry.name] = try Tensor(
                elementType: entry.elementType, shape: entry.shape, bytes: Array(bytes[range]), name: entry.name)
        }
        return (tensors, header.metadata)
    }

    struct Entry {
        let name: String
        let elementType: ElementType
        let shape: Shape
        let begin: Int
        let end: Int
    }

    struct Header {
        var entries: [Entry] = []
        var metadata: [String: String] = [:]
        var dataStart = 0
    }

    /// Reads and checks the header of a file of `byteCount` bytes, of which `bytes` gives any part.
    static func readHeader(
        byteCount: Int, path: String, bytes: (Range<Int>) -> ArraySlice<UInt8>
    ) throws(TensorError) -> Header {
        guard byteCount >= 8 else {
            throw .malformedFile(path: path, reason: "\(byteCount) bytes are too few for a safetensors file")
        }
        let length = bytes(0..<8).reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        guard length <= UInt64(headerByteLimit) else {
            throw .malformedFile(
                path: path, reason: "header length \(length) exceeds \(headerByteLimit): not a safetensors file?")
        }
        guard Int(length) <= byteCount - 8 else {
            throw .malformedFile(
                path: path, reason: "header length \(length) exceeds the \(byteCount - 8) bytes that follow")
        }
        var header = Header(dataStart: 8 + Int(length))
        guard length > 0, bytes(8..<9).first == UInt8(ascii: "{") else {
            throw .malformedFile(path: path, reason: "the header does not start with '{'")
        }
        do {
            var scanner = JSONScanner(bytes(8..<header.dataStart))
            try readMembers(&scanner, into: &header)
            try scanner.expectEnd()
        } catch { throw .malformedFile(path: path, reason: error.reason) }
        try arrange(&header, dataCount: byteCount - header.dataStart, path: path)
        return header
    }

    private static func readMembers(
        _ scanner: inout JSONScanner, into header: inout Header
    ) throws(JSONScanner.Fault) {
        var seen: Set<String> = []
        try scanner.readObject { (name, scanner) throws(JSONScanner.Fault) in
            guard seen.insert(name).inserted else { throw .init(reason: "'\(name)' appears twice in the header") }
            if name == "__metadata__" {
                try scanner.readObject { (key, scanner) throws(JSONScanner.Fault) in
                    guard header.metadata.updateValue(try scanner.readString(), forKey: key) == nil else {
                        throw .init(reason: "metadata key '\(key)' appears twice in the header")
                    }
                }
            } else {
                header.entries.append(try readEntry(name, &scanner))
            }
        }
    }

    private static func readEntry(
        _ name: String, _ scanner: inout JSONScanner
    ) throws(JSONScanner.Fault) -> Entry {
        var typeName: String?
        var dimensions: [Int]?
        var offsets: [Int]?
        try scanner.readObject { (key, scanner) throws(JSONScanner.Fault) in
            switch key {
            case "dtype" where typeName == nil: typeName = try scanner.readString()
            case "shape" where dimensions == nil: dimensions = try scanner.readIntegers(limit: rankLimit)
            case "data_offsets" where offsets == nil: offsets = try scanner.readIntegers(limit: 2)
            default: throw .init(reason: "tensor '\(name)' has a second or unknown key '\(key)'")
            }
        }
        guard let typeName, let dimensions, let offsets, offsets.count == 2 else {
            throw .init(reason: "tensor '\(name)' needs dtype, shape and two data_offsets")
        }
        guard let elementType = ElementType(safetensorsName: typeName) else {
            throw .init(reason: "tensor '\(name)' has unsupported dtype '\(typeName)'")
        }
        guard let shape = try? Shape(dimensions) else {
            throw .init(reason: "tensor '\(name)' has invalid shape \(dimensions)")
        }
        let (size, overflow) = shape.elementCount.multipliedReportingOverflow(by: elementType.byteCount)
        guard offsets[0] <= offsets[1], !overflow, offsets[1] - offsets[0] == size else {
            let place = "\(offsets[0])..<\(offsets[1])"
            throw .init(reason: "tensor '\(name)' of shape \(shape) \(typeName) cannot lie at offsets \(place)")
        }
        return Entry(name: name, elementType: elementType, shape: shape, begin: offsets[0], end: offsets[1])
    }

    /// Sorts entries by offset (header order among empty tensors) and checks that they tile the data exactly.
    private static func arrange(_ header: inout Header, dataCount: Int, path: String) throws(TensorError) {
        let order = header.entries.indices.sorted { (left: Int, right: Int) in
            let (a, b) = (header.entries[left], header.entries[right])
            return (a.begin, a.end, left) < (b.begin, b.end, right)
        }
        header.entries = order.map { header.entries[$0] }
        var position = 0
        for entry in header.entries {
            guard entry.begin == position else {
                let fault = entry.begin < position ? "overlaps the tensor before it" : "leaves a hole before it"
                throw .malformedFile(path: path, reason: "tensor '\(entry.name)' at offset \(entry.begin) \(fault)")
            }
            position = entry.end
        }
        guard position == dataCount else {
            throw .malformedFile(
                path: path, reason: "the header describes \(position) bytes of tensors, the file holds \(dataCount)")
        }
    }
}
