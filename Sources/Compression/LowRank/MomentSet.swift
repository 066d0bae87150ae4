import Tensors

/// Second moments of layers as a worker sends them: one symmetric matrix a layer, each number once.
///
/// Layout, little-endian: magic; number of layers (u32); per layer: length of its weight's name (u32), name (UTF-8), extent n
/// (u32); then per layer the n (n + 1) / 2 numbers on and above the diagonal as float32, row by row. Numbers of a few
/// digits that are all different do not pack, so nothing is packed.
public struct MomentSet: Sendable, Equatable {
    /// The first bytes of every set.
    public static let magic = Array("PLMOM1\n\0".utf8)
    /// No mean of squares is larger: of activations up to 2^30, as in calibration.
    static let largestMean = 0x1p60
    /// The largest file that is read: more than the sets of all but the strangest names take.
    public static let byteLimit = 4 * MomentLayout.mostNumbers + (8 << 20)

    /// The weights' names, in the layout's order.
    public let names: [String]
    public let sizes: [Int]
    /// By layer.
    let triangles: [[Float]]

    /// Precondition: as many numbers of each layer as its moment has.
    init(_ layout: MomentLayout, _ triangles: [[Float]]) {
        precondition(
            triangles.map(\.count) == layout.entries.map { MomentLayout.numbers($0.size) },
            "moments of other extents than their layers'")
        (names, sizes, self.triangles) = (layout.entries.map(\.name), layout.entries.map(\.size), triangles)
    }

    /// Of data that are all zero.
    public init(zeros layout: MomentLayout) {
        self.init(layout, layout.entries.map { Array(repeating: 0, count: MomentLayout.numbers($0.size)) })
    }

    /// What a set of this layout takes.
    public static func byteCount(of layout: MomentLayout) -> Int {
        let sizes = layout.entries.map(\.size)
        return header(layout.entries.map(\.name), sizes).count + 4 * sizes.reduce(0) { $0 + MomentLayout.numbers($1) }
    }

    /// The canonical bytes.
    public func serialized() -> [UInt8] {
        var bytes = Self.header(names, sizes)
        bytes.reserveCapacity(bytes.count + 4 * triangles.reduce(0) { $0 + $1.count })
        for triangle in triangles {
            for value in triangle {
                withUnsafeBytes(of: value.bitPattern.littleEndian) { bytes.append(contentsOf: $0) }
            }
        }
        return bytes
    }

    private static func header(_ names: [String], _ sizes: [Int]) -> [UInt8] {
        var bytes = magic
        func append(_ value: Int) { withUnsafeBytes(of: UInt32(value).littleEndian) { bytes.append(contentsOf: $0) } }
        append(names.count)
        for (name, size) in zip(names, sizes) {
            append(name.utf8.count)
            bytes.append(contentsOf: name.utf8)
            append(size)
        }
        return bytes
    }

    /// Reads a set that must be about exactly a layout's layers; trusts nothing else.
    /// - Throws: `CompressionError.malformedMoments` for other layers, extents or length, numbers that are not finite or too
    ///   large, and moments that no data have: a negative diagonal, or more beside it than the diagonal allows.
    public init(parsing bytes: [UInt8], expecting layout: MomentLayout) throws(CompressionError) {
        let (names, sizes) = (layout.entries.map(\.name), layout.entries.map(\.size))
        let header = Self.header(names, sizes)
        guard bytes.starts(with: header) else {
            throw .malformedMoments(tensor: names.first ?? "", reason: "they are about other layers or extents")
        }
        let numbers = sizes.reduce(0) { $0 + MomentLayout.numbers($1) }
        guard bytes.count == header.count + 4 * numbers else {
            throw .malformedMoments(
                tensor: names.first ?? "", reason: "they take \(bytes.count) bytes, not \(header.count + 4 * numbers)")
        }
        var triangles: [[Float]] = []
        var offset = header.count
        for (name, size) in zip(names, sizes) {
            let triangle = Self.floats(bytes, offset, MomentLayout.numbers(size))
            offset += 4 * triangle.count
            if let reason = Self.objection(to: triangle, size: size) {
                throw .malformedMoments(tensor: name, reason: reason)
            }
            triangles.append(triangle)
        }
        (self.names, self.sizes, self.triangles) = (names, sizes, triangles)
    }

    static func floats(_ bytes: [UInt8], _ offset: Int, _ count: Int) -> [Float] {
        bytes.withUnsafeBytes { all in
            (0..<count).map { place in
                Float(
                    bitPattern: UInt32(
                        littleEndian: all.loadUnaligned(fromByteOffset: offset + 4 * place, as: UInt32.self)))
            }
        }
    }

    /// Why a triangle is no moment of any data, or nil.
    static func objection(to triangle: [Float], size: Int) -> String? {
        // Row r begins with its diagonal and is one shorter than the row before.
        var (starts, next) = ([Int](), 0)
        for row in 0..<size {
            starts.append(next)
            next += size - row
        }
        // |E[a b]|² <= E[a²] E[b²], but for what rounding to float32 makes of them, of the smallest numbers most.
        let roots = starts.map { (Double(triangle[$0]) * (1 + 1e-5) + 1e-37).squareRoot() }
        for (row, start) in starts.enumerated() {
            let diagonal = Double(triangle[start])
            guard diagonal >= 0, diagonal <= largestMean else {
                return "its diagonal holds \(triangle[start]), which no mean of squares is"
            }
            for column in row..<size {
                let value = abs(Double(triangle[start + column - row]))
                guard value <= roots[row] * roots[column] else {
                    return "the number \(triangle[start + column - row]) beside its diagonal is more than that allows"
                }
            }
        }
        return nil
    }
}

/// Adds up sets of several workers, each with its weight. The same sets in the same order give the same bytes. Memory: 8 bytes
/// a number.
public struct MomentFold: Sendable {
    let layout: MomentLayout
    private var sums: [[Double]]
    private var total = 0.0

    public init(_ layout: MomentLayout) {
        self.layout = layout
        sums = layout.entries.map { Array(repeating: 0, count: MomentLayout.numbers($0.size)) }
    }

    /// Precondition: the set is of this layout; the weight is above 0.
    public mutating func add(_ set: MomentSet, weight: UInt32) {
        precondition(set.names == layout.entries.map(\.name) && weight > 0, "moments of other layers, or of nobody")
        for (index, triangle) in set.triangles.enumerated() {
            for place in triangle.indices { sums[index][place] += Double(weight) * Double(triangle[place]) }
        }
        total += Double(weight)
    }

    /// Their mean by weight, as float32 [n, n] by the layers' names.
    /// Precondition: something was added.
    public func means() -> NamedTensors {
        precondition(total > 0, "the mean of nothing")
        var result = NamedTensors()
        for (entry, sum) in zip(layout.entries, sums) {
            let size = entry.size
            guard let shape = try? Shape([size, size]) else { preconditionFailure("a moment of extent \(size)") }
            var values = [Float](repeating: 0, count: size * size)
            var next = 0
            for row in 0..<size {
                for column in row..<size {
                    let mean = Float(sum[next] / total)
                    (values[row * size + column], values[column * size + row]) = (mean, mean)
                    next += 1
                }
            }
            result[entry.name] = Tensor(values, shape: shape)
        }
        return result
    }

    /// The mean by weight of one entry, on and above the diagonal. Precondition: something was added.
    func mean(ofEntry entry: Int) -> [Float] {
        precondition(total > 0, "the mean of nothing")
        return sums[entry].map { Float($0 / total) }
    }
}
