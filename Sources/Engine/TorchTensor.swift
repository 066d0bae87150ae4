import CTorch
import Tensors

/// Owns one libtorch tensor. CTorch's rule: a tensor is used by one thread at a time; so is whatever holds one.
final class TorchTensor {
    let handle: OpaquePointer

    /// Takes ownership.
    /// - Throws: `EngineError.runtime` with libtorch's message when `handle` is nil.
    init(_ handle: OpaquePointer?) throws(EngineError) {
        guard let handle else { throw .runtime(Self.lastError) }
        self.handle = handle
    }

    /// A copy of a tensor's bytes.
    convenience init(_ tensor: Tensor) throws(EngineError) {
        let extents = tensor.shape.dimensions.map(Int64.init)
        try self.init(
            tensor.bytes.withUnsafeBytes { bytes in
                ct_from_bytes(bytes.baseAddress, Int32(tensor.elementType.rawValue), extents, Int32(extents.count))
            })
    }

    deinit { ct_free(handle) }

    static var lastError: String { String(cString: ct_last_error()) }

    var extents: [Int] { (0..<Int(ct_rank(handle))).map { Int(ct_extent(handle, Int32($0))) } }

    var elementType: ElementType {
        guard let type = ElementType(rawValue: UInt8(truncatingIfNeeded: ct_type(handle))) else {
            preconditionFailure("libtorch made a tensor of a type the engine never asks for")
        }
        return type
    }

    /// The elements copied out, row-major.
    func tensor() throws(EngineError) -> Tensor {
        guard let shape = try? Shape(extents) else { throw .runtime("a tensor of impossible shape") }
        var bytes = [UInt8](repeating: 0, count: shape.elementCount * elementType.byteCount)
        let status = bytes.withUnsafeMutableBytes { ct_copy_out(handle, $0.baseAddress, $0.count) }
        try CTorchStatus.check(status)
        guard let tensor = try? Tensor(elementType: elementType, shape: shape, bytes: bytes) else {
            preconditionFailure("the byte count was computed from the shape")
        }
        return tensor
    }
}

/// Turns a status of CTorch into an error.
enum CTorchStatus {
    static func check(_ status: Int32) throws(EngineError) {
        if status != 0 { throw .runtime(TorchTensor.lastError) }
    }
}
