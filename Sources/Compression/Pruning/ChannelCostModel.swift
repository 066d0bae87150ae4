import ModelGraph
import Tensors

/// What a graph costs at given levels: a sum of terms (a layer's multiply-accumulates, a tensor's elements), each a product
/// of extents that shrink with the groups.
struct ChannelCostModel {
    private struct Factor {
        let extent: Int
        /// By group: what leaves the extent at each level.
        let gone: [(group: Int, byLevel: [Int])]
    }

    private struct Term {
        let scale: Double
        let factors: [Factor]
    }

    private let terms: [Term]
    /// Indices of the terms that each group changes, ascending.
    private let affected: [[Int]]
    /// How much arithmetic it takes to price a step of each group.
    let effort: [Int]
    /// The cost before anything is removed.
    let whole: Double
    /// The most that may be left.
    let limit: Double

    /// - Parameter levels: of the groups that shrink; the others stay whole.
    init(
        _ all: ChannelGroups, levels: [ChannelLevels], parameters: [Parameter], amount: ChannelAmount
    ) {
        let found: [Term]
        switch amount {
        case .channels:
            found = levels.enumerated().map { index, levels in
                let gone = levels.widths.map { levels.group.channels - $0 }
                return Term(scale: 1, factors: [Factor(extent: levels.group.channels, gone: [(index, gone)])])
            }
        case .macs:
            found = all.costs.map { cost in
                // In double: the product of extents may be beyond integers.
                let whole = cost.factors.reduce(1.0) { $0 * Double(max(1, $1.extent)) }
                let factors = cost.factors.map { factor in
                    Factor(
                        extent: factor.extent,
                        gone: levels.enumerated().compactMap { index, levels in
                            factor.perChannel[levels.group.name].map { count in
                                (index, levels.widths.map { (levels.group.channels - $0) * count })
                            }
                        })
                }
                return Term(scale: Double(cost.macs) / whole, factors: factors)
            }
        case .weights, .bytes:
            var counted = parameters
            if case .weights = amount { counted = parameters.filter { $0.role == .trainable } }
            let scale = if case .bytes = amount { 4.0 } else { 1.0 }
            var reached: [String: [Int: [(group: Int, byLevel: [Int])]]] = [:]
            for (index, levels) in levels.enumerated() {
                for (parameter, axis, byLevel) in Self.gone(levels) {
                    reached[parameter, default: [:]][axis, default: []].append((index, byLevel))
                }
            }
            found = counted.map { parameter in
                let axes = reached[parameter.name] ?? [:]
                return Term(
                    scale: scale,
                    factors: parameter.shape.dimensions.enumerated().map {
                        Factor(extent: $1, gone: axes[$0] ?? [])
                    })
            }
        }
        var affected = Array(repeating: [Int](), count: levels.count)
        for (number, term) in found.enumerated() {
            var groups: Set<Int> = []
            for part in term.factors.flatMap(\.gone) where groups.insert(part.group).inserted {
                affected[part.group].append(number)
            }
        }
        terms = found
        self.affected = affected
        let sizes = found.map { $0.factors.reduce(1) { $0 + 1 + $1.gone.count } }
        effort = affected.map { $0.reduce(0) { $0 + sizes[$1] } }
        let start = [Int](repeating: 0, count: levels.count)
        let whole = found.reduce(0) { $0 + Self.value($1, at: start) }
        self.whole = whole
        limit =
            switch amount {
            case .channels(let share), .weights(let share), .macs(let share): share * whole
            case .bytes(let count): Double(count)
            }
    }

    /// By parameter and axis: how many indices leave at each level. A channel that a depthwise kernel both makes and reads
    /// leaves once.
    private static func gone(_ levels: ChannelLevels) -> [(parameter: String, axis: Int, byLevel: [Int])] {
        var seen: Set<String> = []
        return levels.group.members.compactMap { member in
            guard seen.insert("\(member.axis) \(member.parameter)").inserted else { return nil }
            var byLevel: [Int] = []
            var count = 0
            var channels = 0
            for width in levels.widths {
                while channels < levels.group.channels - width {
                    count += member.places[levels.order[channels]].count
                    channels += 1
                }
                byLevel.append(count)
            }
            return (member.parameter, member.axis, byLevel)
        }
    }

    private static func value(_ term: Term, at state: [Int]) -> Double {
        term.factors.reduce(term.scale) { product, factor in
            product * Double(max(0, factor.gone.reduce(factor.extent) { $0 - $1.byLevel[state[$1.group]] }))
        }
    }

    /// The whole cost. The same terms in the same order give the same sum, however the state came about.
    func cost(at state: [Int]) -> Double { terms.reduce(0) { $0 + Self.value($1, at: state) } }

    /// What the terms of a group, or of two different ones together, cost.
    func cost(of group: Int, and other: Int? = nil, at state: [Int]) -> Double {
        let first = affected[group]
        var sum = 0.0
        for number in first { sum += Self.value(terms[number], at: state) }
        guard let other else { return sum }
        // Both lists ascend: those of the first are passed over.
        var next = 0
        for number in affected[other] {
            while next < first.count, first[next] < number { next += 1 }
            if next == first.count || first[next] != number { sum += Self.value(terms[number], at: state) }
        }
        return sum
    }
}
