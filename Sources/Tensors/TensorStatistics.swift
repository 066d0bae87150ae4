/// What a few figures tell of a float32 tensor, summed up piece by piece.
public struct TensorStatistics: Sendable, Equatable {
    /// L2 norm of the finite elements.
    public var norm: Double { squares.squareRoot() }
    /// The largest magnitude among the finite elements; 0 without any.
    public private(set) var largestMagnitude: Float = 0
    /// Elements that are +0 or −0.
    public private(set) var zeros = 0
    /// Infinities and NaNs.
    public private(set) var notFinite = 0
    private var squares = 0.0

    public init() {}

    public mutating func add(_ values: UnsafeBufferPointer<Float>) {
        for value in values {
            guard value.isFinite else {
                notFinite += 1
                continue
            }
            if value == 0 { zeros += 1 }
            largestMagnitude = max(largestMagnitude, abs(value))
            squares += Double(value) * Double(value)
        }
    }
}

extension SafetensorsFile {
    /// Elements that are looked at together.
    private static let statisticsElementCount = 1 << 16

    /// The figures of one of the file's tensors, of which no more than a piece is ever in memory.
    /// - Throws: `TensorError.wrongElementType` unless it is float32.
    public func statistics(of entry: Entry) throws(TensorError) -> TensorStatistics {
        guard entry.elementType == .float32 else {
            throw .wrongElementType(name: entry.name, expected: .float32, found: entry.elementType)
        }
        var statistics = TensorStatistics()
        let count = entry.shape.elementCount
        var piece = [Float](repeating: 0, count: min(count, Self.statisticsElementCount))
        for start in stride(from: 0, to: count, by: Self.statisticsElementCount) {
            let length = min(Self.statisticsElementCount, count - start)
            piece.withUnsafeMutableBufferPointer { piece in
                let part = UnsafeMutableBufferPointer(rebasing: piece[..<length])
                part.update(repeating: 0)
                let isThere = add(entry.name, from: start, to: part)
                precondition(isThere, "no elements of '\(entry.name)' from \(start) on")
                statistics.add(UnsafeBufferPointer(part))
            }
        }
        return statistics
    }
}
