/// Conversions between float32 and the two 16-bit floating-point formats, kept as bit patterns in files and tensors.
public enum HalfPrecision {
    /// IEEE 754 binary16 to float32, exact.
    @inlinable
    public static func float(fromFloat16 bits: UInt16) -> Float { Float(Float16(bitPattern: bits)) }

    /// float32 to IEEE 754 binary16, to nearest, ties to even; beyond 65,504 it becomes infinite.
    @inlinable
    public static func float16(from value: Float) -> UInt16 { Float16(value).bitPattern }

    /// bfloat16 to float32, exact.
    @inlinable
    public static func float(fromBfloat16 bits: UInt16) -> Float { Float(bitPattern: UInt32(bits) << 16) }

    /// float32 to bfloat16, to nearest, ties to even. A NaN stays a NaN.
    @inlinable
    public static func bfloat16(from value: Float) -> UInt16 {
        let bits = value.bitPattern
        // Cutting a NaN's low half could leave an infinity, so its quiet bit is set.
        if value.isNaN { return UInt16(truncatingIfNeeded: bits >> 16) | 0x40 }
        return UInt16(truncatingIfNeeded: (bits &+ 0x7fff &+ (bits >> 16 & 1)) >> 16)
    }
}

extension Tensor {
    /// The same values as float32, rounded to nearest where they do not fit.
    public func convertedToFloat32() -> Tensor {
        if elementType == .float32 { return self }
        let floats: [Float] =
            switch elementType {
            case .float32: self.floats
            case .float16: converted(from: UInt16.self, HalfPrecision.float(fromFloat16:))
            case .bfloat16: converted(from: UInt16.self, HalfPrecision.float(fromBfloat16:))
            case .float64: converted(from: Double.self) { Float($0) }
            case .int8: converted(from: Int8.self) { Float($0) }
            case .uint8, .bool: converted(from: UInt8.self) { Float($0) }
            case .int16: converted(from: Int16.self) { Float($0) }
            case .int32: converted(from: Int32.self) { Float($0) }
            case .int64: converted(from: Int64.self) { Float($0) }
            }
        return Tensor(floats, shape: shape)
    }

    /// The same values as int64, or nil when the elements are real numbers.
    public func convertedToInt64() -> Tensor? {
        let integers: [Int64]
        switch elementType {
        case .float32, .float16, .bfloat16, .float64: return nil
        case .int8: integers = converted(from: Int8.self) { Int64($0) }
        case .uint8, .bool: integers = converted(from: UInt8.self) { Int64($0) }
        case .int16: integers = converted(from: Int16.self) { Int64($0) }
        case .int32: integers = converted(from: Int32.self) { Int64($0) }
        case .int64: return self
        }
        return Tensor(integers, shape: shape)
    }

    private func converted<Source: BitwiseCopyable, Result>(
        from type: Source.Type, _ convert: (Source) -> Result
    ) -> [Result] {
        withElements(as: type) { $0.map(convert) }
    }
}
