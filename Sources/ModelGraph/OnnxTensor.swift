import FoundationEssentials
import SwiftProtobuf
import Tensors

/// Between a TensorProto and a tensor.
enum OnnxTensor {
    /// The element type of an ONNX data type code.
    static func elementType(_ code: Int32, of what: String, path: String) throws(ModelError) -> ElementType {
        guard let type = OnnxTensorProto.DataType(rawValue: Int(code)), type != .undefined else {
            throw .malformedFile(path: path, reason: "\(what) has the unknown data type \(code)")
        }
        guard let match = pairs.first(where: { $0.1 == type }) else {
            let name = "\(type)".lowercased()
            throw .unsupportedFile(path: path, reason: "\(what) has the data type \(name), which is not supported")
        }
        return match.0
    }

    /// The element type of an ONNX data type code, or nil for one that is not supported.
    static func elementType(code: Int64) -> ElementType? {
        pairs.first { Int64($0.1.rawValue) == code }?.0
    }

    static func dataType(_ type: ElementType) -> OnnxTensorProto.DataType {
        guard let match = pairs.first(where: { $0.0 == type }) else { preconditionFailure("no data type for \(type)") }
        return match.1
    }

    private static let pairs: [(ElementType, OnnxTensorProto.DataType)] = [
        (.float32, .float), (.float16, .float16), (.bfloat16, .bfloat16), (.float64, .double), (.int8, .int8),
        (.uint8, .uint8), (.int16, .int16), (.int32, .int32), (.int64, .int64), (.bool, .bool),
    ]

    /// Reads a tensor whose data must fill its shape exactly.
    /// - Parameters:
    ///   - external: where external data may be read; nil refuses them.
    ///   - missing: what to take where there are no data; nil when that is an error.
    static func read(
        _ proto: OnnxTensorProto, name: String, path: String, external: ExternalDataFolder?,
        missing: (ElementType, Shape) -> Tensor? = { _, _ in nil }
    ) throws(ModelError) -> Tensor {
        let what = "tensor '\(name)'"
        guard !proto.hasSegment else { throw .unsupportedFile(path: path, reason: "\(what) is stored in segments") }
        let type = try elementType(proto.dataType, of: what, path: path)
        let shape = try shape(proto.dims, of: what, path: path)
        var bytes: [UInt8]
        if proto.dataLocation == .external || !proto.externalData.isEmpty {
            bytes = try externalBytes(proto, type, shape, what, path, external)
        } else if proto.hasRawData {
            bytes = [UInt8](proto.rawData)
        } else {
            bytes = try typedBytes(proto, type, what, path)
        }
        if bytes.isEmpty, let tensor = missing(type, shape) {
            guard tensor.elementType == type, tensor.shape == shape else {
                throw .malformedFile(
                    path: path,
                    reason: "\(what) is \(type) of shape \(shape), its value \(tensor.elementType) \(tensor.shape)")
            }
            return tensor
        }
        if type == .bool { for index in bytes.indices where bytes[index] > 1 { bytes[index] = 1 } }
        do { return try Tensor(elementType: type, shape: shape, bytes: bytes, name: name) } catch {
            throw .malformedFile(path: path, reason: error.description)
        }
    }

    private static func externalBytes(
        _ proto: OnnxTensorProto, _ type: ElementType, _ shape: Shape, _ what: String, _ path: String,
        _ external: ExternalDataFolder?
    ) throws(ModelError) -> [UInt8] {
        guard let external else {
            throw .unsupportedFile(
                path: path, reason: "\(what) is stored as external data; save the model as a single file")
        }
        let (byteCount, overflow) = shape.elementCount.multipliedReportingOverflow(by: type.byteCount)
        guard !overflow else { throw .malformedFile(path: path, reason: "\(what) has an impossible shape") }
        return try external.read(proto.externalData, byteCount: byteCount, what: what)
    }

    static func shape(_ dims: [Int64], of what: String, path: String) throws(ModelError) -> Shape {
        guard dims.count <= ModelLimits.rank, dims.allSatisfy({ (0...Int64(ModelLimits.extent)).contains($0) }),
            let shape = try? Shape(dims.map(Int.init))
        else { throw .malformedFile(path: path, reason: "\(what) has an impossible shape") }
        return shape
    }

    /// The bytes of data kept in a typed field instead of raw_data.
    private static func typedBytes(
        _ proto: OnnxTensorProto, _ type: ElementType, _ what: String, _ path: String
    ) throws(ModelError) -> [UInt8] {
        func narrowed<T: FixedWidthInteger & BitwiseCopyable>(_ type: T.Type) throws(ModelError) -> [UInt8] {
            var values: [T] = []
            values.reserveCapacity(proto.int32Data.count)
            for value in proto.int32Data {
                guard let narrow = T(exactly: value) else {
                    throw .malformedFile(path: path, reason: "\(what) holds \(value), which its type cannot")
                }
                values.append(narrow)
            }
            return bytes(values)
        }
        switch type {
        case .float32: return bytes(proto.floatData)
        case .float64: return bytes(proto.doubleData)
        case .int64: return bytes(proto.int64Data)
        case .int32: return bytes(proto.int32Data)
        case .int16: return try narrowed(Int16.self)
        case .int8: return try narrowed(Int8.self)
        case .uint8, .bool: return try narrowed(UInt8.self)
        // The 16-bit floats lie as bit patterns in the low half of each int32.
        case .float16, .bfloat16: return try narrowed(UInt16.self)
        }
    }

    private static func bytes<Element: BitwiseCopyable>(_ values: [Element]) -> [UInt8] {
        values.withUnsafeBytes { Array($0) }
    }

    /// A TensorProto with raw data, or with none when `withData` is false.
    static func write(
        _ tensor: Tensor, name: String, withData: Bool = true, asFourBits: Bool = false
    ) -> OnnxTensorProto {
        var proto = OnnxTensorProto()
        proto.dims = tensor.shape.dimensions.map(Int64.init)
        let type = asFourBits ? fourBitType(of: tensor.elementType) : dataType(tensor.elementType)
        proto.dataType = Int32(type.rawValue)
        if !name.isEmpty { proto.name = name }
        if withData { proto.rawData = Data(tensor.bytes) }
        return proto
    }
}
