import Tensors

/// Labels on every index of every axis of every value of a graph, joined where operators couple them (union-find with path
/// halving). What carries one label can only be removed together. A label is *frozen* when nothing it marks can be
/// removed, with the reason.
///
/// Memory follows the sum of extents, not the number of elements.
struct AxisLabels {
    /// What else is known of a label.
    struct Traits: OptionSet {
        let rawValue: UInt8
        /// It counts attention heads.
        static let heads = Traits(rawValue: 1)
        /// A normalisation or a reduction takes its statistics over it.
        static let normalizedOver = Traits(rawValue: 2)
    }

    /// Most labels of a graph: what a file could make of a few bytes (an Expand to 2^31) must not exhaust memory.
    static let limit = 1 << 25

    let shapes: [String: Shape]
    /// The label of index 0 of each axis of a value; the others follow.
    private(set) var starts: [String: [Int]] = [:]
    private var parents: [Int32] = []
    /// By root: 0 while it is free, else the place of its reason plus one.
    private var frozen: [Int32] = []
    private var traits: [UInt8] = []
    private var reasons: [String] = []

    /// - Throws: `ModelError.invalidRequest` for a graph with more than `limit` labels.
    init(_ graph: Graph, shapes: [String: Shape]) throws(ModelError) {
        self.shapes = shapes
        var count = 0
        let names = graph.inputs.map(\.name) + graph.initializers.names + graph.nodes.flatMap(\.outputs)
        for name in names where starts[name] == nil {
            guard let shape = shapes[name] else { continue }
            var first: [Int] = []
            for extent in shape.dimensions {
                first.append(count)
                guard extent <= Self.limit - count else {
                    throw .invalidRequest("the axes of value '\(name)' are too long to look for groups of channels")
                }
                count += extent
            }
            starts[name] = first
        }
        parents = (0..<Int32(count)).map(\.self)
        frozen = Array(repeating: 0, count: count)
        traits = Array(repeating: 0, count: count)
    }

    var count: Int { parents.count }

    func extent(_ value: String, _ axis: Int) -> Int { shapes[value]?.dimensions[axis] ?? 0 }

    /// The labels of one axis; empty for an unknown value.
    func range(_ value: String, _ axis: Int) -> Range<Int> {
        guard let start = starts[value]?[axis] else { return 0..<0 }
        return start..<(start + extent(value, axis))
    }

    mutating func root(_ label: Int) -> Int {
        var current = Int32(label)
        while parents[Int(current)] != current {
            parents[Int(current)] = parents[Int(parents[Int(current)])]
            current = parents[Int(current)]
        }
        return Int(current)
    }

    mutating func unite(_ a: Int, _ b: Int) {
        let (a, b) = (root(a), root(b))
        guard a != b else { return }
        // The lower label becomes the root, so that results do not depend on the order of unions.
        let (low, high) = (min(a, b), max(a, b))
        parents[high] = Int32(low)
        if frozen[low] == 0 { frozen[low] = frozen[high] }
        traits[low] |= traits[high]
    }

    /// Unites two axes index by index; axes of different extents are frozen.
    mutating func unite(_ a: String, _ axisA: Int, _ b: String, _ axisB: Int) {
        let (first, second) = (range(a, axisA), range(b, axisB))
        guard first.count == second.count else {
            freeze(a, axisA, "its extent differs from that of '\(b)'")
            freeze(b, axisB, "its extent differs from that of '\(a)'")
            return
        }
        for (x, y) in zip(first, second) { unite(x, y) }
    }

    mutating func freeze(_ labels: Range<Int>, _ reason: String) {
        guard !labels.isEmpty else { return }
        if reasons.last != reason { reasons.append(reason) }
        for label in labels {
            let root = root(label)
            if frozen[root] == 0 { frozen[root] = Int32(reasons.count) }
        }
    }

    mutating func freeze(_ value: String, _ axis: Int, _ reason: String) { freeze(range(value, axis), reason) }

    mutating func freeze(_ value: String, _ reason: String) {
        for axis in 0..<(shapes[value]?.rank ?? 0) { freeze(value, axis, reason) }
    }

    mutating func mark(_ value: String, _ axis: Int, _ trait: Traits) {
        for label in range(value, axis) { traits[root(label)] |= trait.rawValue }
    }

    /// Why what carries a label cannot be removed, or nil where it can.
    mutating func reason(_ label: Int) -> String? { reason(root: root(label)) }

    /// As `reason`, of a label that is known to be a root.
    func reason(root: Int) -> String? {
        let place = frozen[root]
        return place == 0 ? nil : reasons[Int(place) - 1]
    }

    mutating func isFrozen(_ value: String, _ axis: Int) -> Bool {
        range(value, axis).allSatisfy { frozen[root($0)] != 0 }
    }

    func traits(root: Int) -> Traits { Traits(rawValue: traits[root]) }
}
