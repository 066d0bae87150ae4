/// A dense, row-major, little-endian tensor value that owns its bytes.
///
/// Swift arrays on 64-bit Linux are aligned to 16 bytes, so the bytes can be viewed as any element type.
public struct Tensor: Sendable, Equatable {
    public let elementType: ElementType
    public let shape: Shape
    public private(set) var bytes: [UInt8]

    /// - Throws: `TensorError.byteCountMismatch` when `bytes` does not hold exactly `shape.elementCount` elements.
    public init(elementType: ElementType, shape: Shape, bytes: [UInt8], name: String = "") throws(TensorError) {
        let (expected, overflow) = shape.elementCount.multipliedReportingOverflow(by: elementType.byteCount)
        guard !overflow, bytes.count == expected else {
            throw .byteCountMismatch(name: name, expected: overflow ? Int.max : expected, found: bytes.count)
        }
        self.elementType = elementType
        self.shape = shape
        self.bytes = bytes
    }

    /// A float32 tensor. Precondition: `floats.count == shape.elementCount`.
    public init(_ floats: [Float], shape: Shape) { self.init(elements: floats, elementType: .float32, shape: shape) }

    /// An int64 tensor. Precondition: `integers.count == shape.elementCount`.
    public init(_ integers: [Int64], shape: Shape) { self.init(elements: integers, elementType: .int64, shape: shape) }

    /// A uint8 tensor. Precondition: `bytes.count == shape.elementCount`.
    public init(_ bytes: [UInt8], shape: Shape) { self.init(elements: bytes, elementType: .uint8, shape: shape) }

    /// A tensor of any plain element type. Precondition: sizes agree.
    public init<Element: BitwiseCopyable>(elements: [Element], elementType: ElementType, shape: Shape) {
        precondition(MemoryLayout<Element>.stride == elementType.byteCount, "element size differs from \(elementType)")
        precondition(elements.count == shape.elementCount, "\(elements.count) elements for shape \(shape)")
        self.elementType = elementType
        self.shape = shape
        self.bytes = elements.withUnsafeBytes { Array($0) }
    }

    /// All zeros.
    public init(zeros shape: Shape, elementType: ElementType = .float32) {
        self.elementType = elementType
        self.shape = shape
        let byteCount = shape.elementCount * elementType.byteCount
        bytes = [UInt8](unsafeUninitializedCapacity: byteCount) { buffer, filled in
            LargePages.advise(buffer.baseAddress, byteCount: byteCount)
            buffer[..<byteCount].initialize(repeating: 0)
            filled = byteCount
        }
    }

    /// A float32 tensor whose elements `fill` initializes, all of them.
    public init(float32 shape: Shape, fill: (UnsafeMutableBufferPointer<Float>) -> Void) {
        elementType = .float32
        self.shape = shape
        bytes = [UInt8](unsafeUninitializedCapacity: 4 * shape.elementCount) { buffer, filled in
            LargePages.advise(buffer.baseAddress, byteCount: 4 * shape.elementCount)
            let all = UnsafeMutableRawBufferPointer(
                rebasing: UnsafeMutableRawBufferPointer(buffer)[..<(4 * shape.elementCount)])
            fill(all.bindMemory(to: Float.self))
            filled = 4 * shape.elementCount
        }
    }

    public var elementCount: Int { shape.elementCount }

    /// The elements copied out as `Element`, whose size must be that of the element type.
    public func elements<Element: BitwiseCopyable>(as type: Element.Type = Element.self) -> [Element] {
        withElements(as: type) { Array($0) }
    }

    /// The elements of a float32 tensor.
    public var floats: [Float] {
        precondition(elementType == .float32, "tensor is \(elementType), not float32")
        return elements(as: Float.self)
    }

    /// A view of the elements, valid only during `body`.
    public func withElements<Element: BitwiseCopyable, Result>(
        as type: Element.Type, _ body: (UnsafeBufferPointer<Element>) throws -> Result
    ) rethrows -> Result {
        precondition(MemoryLayout<Element>.stride == elementType.byteCount, "\(type) does not view \(elementType)")
        return try bytes.withUnsafeBytes { try body($0.bindMemory(to: type)) }
    }

    /// A mutable view of the elements, valid only during `body`.
    public mutating func withMutableElements<Element: BitwiseCopyable, Result>(
        as type: Element.Type, _ body: (UnsafeMutableBufferPointer<Element>) throws -> Result
    ) rethrows -> Result {
        precondition(MemoryLayout<Element>.stride == elementType.byteCount, "\(type) does not view \(elementType)")
        return try bytes.withUnsafeMutableBytes { try body($0.bindMemory(to: type)) }
    }

    /// A mutable view of the bytes, valid only during `body`.
    public mutating func withMutableBytes<Result>(
        _ body: (UnsafeMutableRawBufferPointer) throws -> Result
    ) rethrows -> Result {
        try bytes.withUnsafeMutableBytes(body)
    }

    /// The same bytes under another shape of equal element count.
    public func reshaped(to shape: Shape) throws(TensorError) -> Tensor {
        try Tensor(elementType: elementType, shape: shape, bytes: bytes)
    }
}
