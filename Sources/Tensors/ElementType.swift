/// The type of one tensor element. Raw values are Pleach's own and appear on the wire; never renumber them.
public enum ElementType: UInt8, Sendable, Hashable, Codable, CaseIterable {
    case float32 = 1
    case float16 = 2
    case bfloat16 = 3
    case float64 = 4
    case int8 = 5
    case uint8 = 6
    case int16 = 7
    case int32 = 8
    case int64 = 9
    case bool = 10

    /// Bytes one element occupies.
    public var byteCount: Int {
        switch self {
        case .int8, .uint8, .bool: 1
        case .float16, .bfloat16, .int16: 2
        case .float32, .int32: 4
        case .float64, .int64: 8
        }
    }

    /// Whether values of this type are real numbers rather than integers or truth values.
    public var isFloatingPoint: Bool {
        switch self {
        case .float32, .float16, .bfloat16, .float64: true
        case .int8, .uint8, .int16, .int32, .int64, .bool: false
        }
    }
}
