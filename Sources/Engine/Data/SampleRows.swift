import Tensors

/// Why one sample cannot be given.
struct SampleFault: Error, Equatable {
    /// The file, and the row where it holds many samples.
    let name: String
    let reason: String
    /// Whether other samples are as bad, so that leaving this one out does not help.
    var isFatal = false

    var error: DataError { .damagedSample(name: name, reason: reason) }
}

/// Samples of one input, or targets, wherever they are kept: in memory, in a file, or as an image each.
protocol SampleRows: Sendable {
    /// As stored.
    var elementType: ElementType { get }
    /// One sample's shape.
    var sampleShape: Shape { get }
    var count: Int { get }
    /// Copies consecutive samples as they are stored. Precondition: `target` has exactly their bytes.
    func read(_ rows: Range<Int>, into target: UnsafeMutableRawBufferPointer) throws(SampleFault)
    /// The given samples, where they are kept in memory anyway.
    func resident(_ rows: [Int]) -> MemoryRows?
}

extension SampleRows {
    func resident(_ rows: [Int]) -> MemoryRows? { nil }
    var rowByteCount: Int { sampleShape.elementCount * elementType.byteCount }
}

extension Shape {
    /// Without the first axis. Precondition: there is one, and the shape has elements.
    fileprivate var ofOneRow: Shape {
        guard rank > 0, let shape = try? Shape(Array(dimensions.dropFirst())) else {
            preconditionFailure("samples of \(self)")
        }
        return shape
    }
}

/// Samples in memory.
struct MemoryRows: SampleRows {
    let tensor: Tensor
    let sampleShape: Shape

    /// Precondition: `tensor` has at least one axis and one element.
    init(_ tensor: Tensor) {
        self.tensor = tensor
        sampleShape = tensor.shape.ofOneRow
    }

    var elementType: ElementType { tensor.elementType }
    var count: Int { tensor.shape[0] }

    func read(_ rows: Range<Int>, into target: UnsafeMutableRawBufferPointer) {
        tensor.bytes.withUnsafeBytes { source in
            target.copyMemory(
                from: UnsafeRawBufferPointer(
                    rebasing: source[rows.lowerBound * rowByteCount..<rows.upperBound * rowByteCount]))
        }
    }

    func resident(_ rows: [Int]) -> MemoryRows? {
        if rows.count == count { return self }
        let size = rowByteCount
        let bytes = [UInt8](unsafeUninitializedCapacity: rows.count * size) { target, filled in
            for row in rows {
                read(
                    row..<row + 1,
                    into: UnsafeMutableRawBufferPointer(
                        rebasing: UnsafeMutableRawBufferPointer(target)[filled..<filled + size]))
                filled += size
            }
        }
        guard let shape = try? Shape([rows.count] + sampleShape.dimensions),
            let gathered = try? Tensor(elementType: elementType, shape: shape, bytes: bytes)
        else { preconditionFailure("\(rows.count) rows of \(tensor.shape)") }
        return MemoryRows(gathered)
    }
}

/// Samples that are drawn, not stored.
struct DrawnRows: SampleRows {
    let digits: SyntheticDigits
    let elementType = ElementType.uint8
    let sampleShape = SyntheticDigits.sampleShape

    init(_ digits: SyntheticDigits) { self.digits = digits }

    var count: Int { digits.labels.count }

    func read(_ rows: Range<Int>, into target: UnsafeMutableRawBufferPointer) {
        digits.draw(Array(rows)).bytes.withUnsafeBytes { target.copyMemory(from: $0) }
    }

    /// Drawing takes longer than a training step would wait.
    func resident(_ rows: [Int]) -> MemoryRows? { MemoryRows(digits.draw(rows)) }
}

/// Samples in an array that stays in its file, which may be larger than memory.
struct FileRows: SampleRows {
    let file: ArrayFile
    let sampleShape: Shape

    /// Precondition: the array has at least one axis and one element.
    init(_ file: ArrayFile) {
        self.file = file
        sampleShape = file.shape.ofOneRow
    }

    var elementType: ElementType { file.elementType }
    var count: Int { file.shape[0] }

    func read(_ rows: Range<Int>, into target: UnsafeMutableRawBufferPointer) throws(SampleFault) {
        do throws(TensorError) { try file.read(rows: rows, into: target) } catch {
            let field = file.name.isEmpty ? "" : " '\(file.name)'"
            throw SampleFault(name: "\(file.path)\(field) row \(rows.lowerBound)", reason: error.description)
        }
    }
}
