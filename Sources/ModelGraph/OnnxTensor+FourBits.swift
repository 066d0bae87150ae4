import FoundationEssentials
import Tensors

// INT4 and UINT4: two codes a byte, the first in the low bits (ONNX IR, "Packed 4-bit types"). In memory they are int8 and
// uint8; `Graph.fourBitNames` remembers how they are written.
extension OnnxTensor {
    static func isFourBit(_ proto: OnnxTensorProto) -> Bool {
        [OnnxTensorProto.DataType.int4.rawValue, OnnxTensorProto.DataType.uint4.rawValue].contains(Int(proto.dataType))
    }

    static func fourBitType(of type: ElementType) -> OnnxTensorProto.DataType {
        precondition(type == .int8 || type == .uint8, "\(type) in 4 bits")
        return type == .int8 ? .int4 : .uint4
    }

    /// Two bytes' low halves in one, with zeros behind an odd end.
    static func fourBitBytes(_ bytes: [UInt8]) -> [UInt8] {
        stride(from: 0, to: bytes.count, by: 2).map { index in
            bytes[index] & 0xf | (index + 1 < bytes.count ? bytes[index + 1] << 4 : 0)
        }
    }

    /// As int8 or uint8 of the declared shape.
    static func readFourBits(_ proto: OnnxTensorProto, name: String, path: String) throws(ModelError) -> Tensor {
        let what = "tensor '\(name)'"
        guard !proto.hasSegment, proto.dataLocation != .external, proto.externalData.isEmpty else {
            throw .unsupportedFile(
                path: path, reason: "\(what) holds 4-bit data outside of the file; save the model as a single file")
        }
        let shape = try shape(proto.dims, of: what, path: path)
        var packed: [UInt8] = []
        if proto.hasRawData {
            packed = [UInt8](proto.rawData)
        } else {
            packed.reserveCapacity(proto.int32Data.count)
            for value in proto.int32Data {
                guard let byte = UInt8(exactly: value) else {
                    throw .malformedFile(path: path, reason: "\(what) holds \(value), which is no pair of 4-bit codes")
                }
                packed.append(byte)
            }
        }
        let count = shape.elementCount
        guard packed.count == count / 2 + count % 2 else {
            throw .malformedFile(
                path: path, reason: "\(what) of shape \(shape) has \(packed.count) bytes; two codes share one")
        }
        let isSigned = Int(proto.dataType) == OnnxTensorProto.DataType.int4.rawValue
        let codes = (0..<count).map { index -> UInt8 in
            let code = packed[index / 2] >> UInt8(index % 2 * 4) & 0xf
            return isSigned && code > 7 ? code | 0xf0 : code
        }
        return Tensor(elements: codes, elementType: isSigned ? .int8 : .uint8, shape: shape)
    }
}
