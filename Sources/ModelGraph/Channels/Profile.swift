import Tensors

/// What is known of a value before running: along each axis either all its elements or, where they are the same, one.
/// NaN stands for what depends on the input.
struct Profile: Equatable {
    /// The extent of each axis, or 1.
    let extents: [Int]
    /// Row-major.
    let values: [Double]

    /// Most elements of a profile; more are unknown.
    static let limit = 1 << 22

    static func unknown(rank: Int) -> Profile { Profile(repeating: .nan, rank: rank) }

    init(extents: [Int], values: [Double]) { (self.extents, self.values) = (extents, values) }

    init(repeating value: Double, rank: Int) {
        (extents, values) = (Array(repeating: 1, count: rank), [value])
    }

    /// Numbers along one axis.
    init(_ values: [Double], axis: Int, rank: Int) {
        var extents = Array(repeating: 1, count: rank)
        extents[axis] = values.count
        (self.extents, self.values) = (extents, values)
    }

    var rank: Int { extents.count }

    /// The value at an index along one axis, or nil where it is unknown or differs along the others.
    func value(at index: Int, axis: Int) -> Double? {
        let inner = extents[(axis + 1)...].reduce(1, *)
        let place = extents[axis] == 1 ? 0 : index
        var found: Double?
        for outer in 0..<extents[..<axis].reduce(1, *) {
            for element in 0..<inner {
                let value = values[(outer * extents[axis] + place) * inner + element]
                guard !value.isNaN, found ?? value == value else { return nil }
                found = value
            }
        }
        return found
    }

    /// The profile whose element at an index is this one's at `source` of it.
    func rearranged(to extents: [Int], _ source: ([Int]) -> [Int]) -> Profile {
        guard let count = Self.count(extents) else { return .unknown(rank: extents.count) }
        var result: [Double] = []
        result.reserveCapacity(count)
        var index = Array(repeating: 0, count: extents.count)
        for _ in 0..<count {
            var element = 0
            for (place, extent) in zip(source(index), self.extents) {
                element = element * extent + max(0, min(place, extent - 1))
            }
            result.append(values[element])
            Self.advance(&index, extents)
        }
        return Profile(extents: extents, values: result)
    }

    /// Elementwise over operands aligned at the last axis; `rank` is that of the result.
    static func combine(_ operands: [Profile], rank: Int, _ body: ([Double]) -> Double) -> Profile {
        var extents = Array(repeating: 1, count: rank)
        for operand in operands {
            guard operand.rank <= rank else { return .unknown(rank: rank) }
            for (axis, extent) in operand.extents.enumerated() where extent != 1 {
                let place = axis + rank - operand.rank
                guard extents[place] == 1 || extents[place] == extent else { return .unknown(rank: rank) }
                extents[place] = extent
            }
        }
        guard let count = count(extents) else { return .unknown(rank: rank) }
        let strides = operands.map { $0.strides(rank: rank) }
        var result: [Double] = []
        result.reserveCapacity(count)
        var index = Array(repeating: 0, count: rank)
        for _ in 0..<count {
            let arguments = operands.indices.map { operand in
                operands[operand].values[zip(index, strides[operand]).reduce(0) { $0 + $1.0 * $1.1 }]
            }
            result.append(body(arguments))
            advance(&index, extents)
        }
        return Profile(extents: extents, values: result)
    }

    /// Elements to step over for each axis of a broadcast to `rank` axes.
    private func strides(rank: Int) -> [Int] {
        var result = Array(repeating: 0, count: rank)
        var step = 1
        for axis in extents.indices.reversed() {
            if extents[axis] > 1 { result[axis + rank - self.rank] = step }
            step *= extents[axis]
        }
        return result
    }

    /// The product, or nil beyond the limit.
    private static func count(_ extents: [Int]) -> Int? {
        var count = 1
        for extent in extents {
            let (product, overflow) = count.multipliedReportingOverflow(by: extent)
            guard !overflow, product <= limit else { return nil }
            count = product
        }
        return count
    }

    private static func advance(_ index: inout [Int], _ extents: [Int]) {
        for axis in extents.indices.reversed() {
            index[axis] += 1
            guard index[axis] == extents[axis] else { return }
            index[axis] = 0
        }
    }

    /// Along one axis other elements of this one; `places` are as many as the axis's new extent.
    func taking(_ places: [Int], axis: Int) -> Profile {
        guard extents[axis] > 1 else { return self }
        var extents = extents
        extents[axis] = places.count
        return rearranged(to: extents) { index in
            var source = index
            source[axis] = places[index[axis]]
            return source
        }
    }

    /// The same with every axis along which nothing changes written once.
    func compressed() -> Profile {
        var result = self
        for axis in extents.indices where result.extents[axis] > 1 {
            let (depth, inner) = (result.extents[axis], result.extents[(axis + 1)...].reduce(1, *))
            let isEven = result.values.indices.allSatisfy { element in
                guard element / inner % depth > 0 else { return true }
                let (value, before) = (result.values[element], result.values[element - inner])
                return value == before || value.isNaN && before.isNaN
            }
            guard isEven else { continue }
            var extents = result.extents
            extents[axis] = 1
            result = result.rearranged(to: extents) { $0 }
        }
        return result
    }

    /// 0 along an axis where all elements are 0, else unknown.
    func silence(along axis: Int) -> Profile {
        var extents = extents
        extents[axis] = 1
        return rearranged(to: extents) { $0 }.combined(with: self, along: axis)
    }

    private func combined(with full: Profile, along axis: Int) -> Profile {
        let inner = full.extents[(axis + 1)...].reduce(1, *)
        let depth = full.extents[axis]
        return Profile(
            extents: extents,
            values: values.indices.map { element in
                let base = element / inner * depth * inner + element % inner
                return (0..<depth).allSatisfy { full.values[base + $0 * inner] == 0 } ? 0 : .nan
            })
    }
}
