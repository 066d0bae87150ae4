import Tensors

/// How far a quantized model's values are from the float model's, as sums that add up over batches and workers. The same sets in
/// the same order give the same sums.
///
/// Layout, little-endian: magic; agreeing outputs, outputs (u64); number of layers (u32); per layer: length of its weight's name
/// (u32), name (UTF-8), then Σ x², Σ (x − y)², Σ x y and Σ y² (f64).
public struct ComparisonSums: Sendable, Equatable {
    /// The first bytes of every set.
    public static let magic = Array("PLCMP1\n\0".utf8)
    /// More outputs than any fleet compares.
    static let mostOutputs = 1 << 48

    /// The weights' names.
    public let layers: [String]
    /// By layer, of what its first node computes.
    public internal(set) var agreements: [Agreement]
    /// Outputs whose largest number is at the same place in both models.
    public internal(set) var agreeing = 0
    /// Outputs that were compared.
    public internal(set) var outputs = 0

    /// Of nothing yet.
    public init(layers: [String]) {
        self.layers = layers
        agreements = Array(repeating: Agreement(), count: layers.count)
    }

    /// Of a layer by its weight's name, if it was compared.
    public subscript(layer: String) -> Agreement? {
        layers.firstIndex(of: layer).map { agreements[$0] }
    }

    /// Share of the outputs whose largest number is at the same place, 0 to 1; nil where none was compared.
    public var agreement: Double? { outputs > 0 ? Double(agreeing) / Double(outputs) : nil }

    /// Adds another set. Precondition: it is of the same layers.
    public mutating func merge(_ other: ComparisonSums) {
        precondition(layers == other.layers, "sums of other layers")
        for index in agreements.indices { agreements[index].merge(other.agreements[index]) }
        (agreeing, outputs) = (agreeing + other.agreeing, outputs + other.outputs)
    }

    /// The canonical bytes.
    public func serialized() -> [UInt8] {
        var bytes = Self.magic
        func append(_ value: some FixedWidthInteger) {
            withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
        }
        append(UInt64(agreeing))
        append(UInt64(outputs))
        append(UInt32(layers.count))
        for (name, agreement) in zip(layers, agreements) {
            append(UInt32(name.utf8.count))
            bytes.append(contentsOf: name.utf8)
            for sum in [agreement.reference, agreement.error, agreement.product, agreement.other] {
                append(sum.bitPattern)
            }
        }
        return bytes
    }

    /// Reads a set that must be about exactly these layers; trusts nothing else.
    /// - Throws: `CompressionError.malformedComparison`; `.valueOutOfRange` for sums that no numbers have.
    public init(parsing bytes: [UInt8], expecting layers: [String]) throws(CompressionError) {
        guard bytes.starts(with: Self.magic) else { throw .malformedComparison("it does not begin as one") }
        let expected = Self(layers: layers).serialized()
        guard bytes.count == expected.count else {
            throw .malformedComparison("it takes \(bytes.count) bytes, not \(expected.count), or is about other layers")
        }
        self.init(layers: layers)
        func integer<Value: FixedWidthInteger>(_ offset: Int, _ type: Value.Type) -> Value {
            bytes.withUnsafeBytes { Value(littleEndian: $0.loadUnaligned(fromByteOffset: offset, as: type)) }
        }
        var offset = Self.magic.count
        let (agreeing, outputs) = (integer(offset, UInt64.self), integer(offset + 8, UInt64.self))
        guard agreeing <= outputs, outputs <= UInt64(Self.mostOutputs) else {
            throw .malformedComparison("\(agreeing) of \(outputs) outputs cannot agree")
        }
        (self.agreeing, self.outputs) = (Int(agreeing), Int(outputs))
        offset += 16
        guard integer(offset, UInt32.self) == UInt32(layers.count) else {
            throw .malformedComparison("it is about other layers")
        }
        offset += 4
        for (index, name) in layers.enumerated() {
            let start = offset + 4
            guard start <= bytes.count, start + name.utf8.count + 32 <= bytes.count,
                integer(offset, UInt32.self) == UInt32(name.utf8.count), bytes[start...].starts(with: name.utf8)
            else { throw .malformedComparison("it is about another layer where '\(name)' is expected") }
            offset = start + name.utf8.count
            let sums = (0..<4).map { Double(bitPattern: integer(offset + 8 * $0, UInt64.self)) }
            // One value, one spelling: canonical bytes.
            guard sums.allSatisfy({ $0 != 0 || $0.sign == .plus }) else {
                throw .malformedComparison("a sum of '\(name)' is misspelt")
            }
            agreements[index] = try Agreement(
                reference: sums[0], error: sums[1], product: sums[2], other: sums[3])
            offset += 32
        }
    }
}
