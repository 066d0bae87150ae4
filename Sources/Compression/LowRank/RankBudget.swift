/// What a factorization may leave.
public struct RankBudget: Sendable, Equatable {
    public enum Measure: String, Sendable, Codable { case parameters, macs }
    /// What the share is of.
    public enum Scope: String, Sendable, CaseIterable, Codable {
        /// The layers that may be factorized.
        case layers
        case model
    }

    public var measure: Measure
    /// Above 0, below 1.
    public var share: Double
    public var scope: Scope

    public init(_ measure: Measure, share: Double, scope: Scope = .model) {
        (self.measure, self.share, self.scope) = (measure, share, scope)
    }
}

/// Chooses a rank for each layer so that little energy is lost in sum over the layers, each counting the share of its own.
/// Steps along each layer's lower convex hull are taken in the order of what they lose for what they save, which is the best
/// choice at each total that the steps reach; the last step takes what meets the budget at the least loss.
struct RankBudgetSolver {
    /// A layer at a cost; the first of each layer is the layer as it is.
    private struct Option {
        var cost: Int
        var lost: Double
        var candidate: RankCandidate?
    }

    private let layers: [[Option]]

    /// - Parameter originals: what each layer costs as it is, in the budget's measure.
    init(_ candidates: [[RankCandidate]], originals: [Int], measure: RankBudget.Measure) {
        layers = zip(candidates, originals).map { candidates, original in
            [Option(cost: original, lost: 0, candidate: nil)]
                + candidates.map {
                    Option(cost: measure == .parameters ? $0.parameters : $0.macs, lost: $0.lost, candidate: $0)
                }
        }
    }

    /// The least that the layers can cost together.
    var smallest: Int { saturatingSum(layers.map { $0.map(\.cost).min() ?? 0 }) }

    /// A choice for each layer, nil where it stays as it is. Precondition: `limit` is at least `smallest`.
    func choose(limit: Int) -> [RankCandidate?] {
        var chosen = layers.map { $0[0] }
        let hulls = layers.map(Self.hull)
        var next = Array(repeating: 1, count: layers.count)
        while saturatingSum(chosen.map(\.cost)) > limit {
            var best: (layer: Int, slope: Double)?
            for layer in layers.indices where next[layer] < hulls[layer].count {
                let step = hulls[layer][next[layer]]
                let slope = (step.lost - chosen[layer].lost) / Double(chosen[layer].cost - step.cost)
                if slope < best?.slope ?? .infinity { best = (layer, slope) }
            }
            guard let best else { preconditionFailure("no choice costs at most \(limit)") }
            let step = hulls[best.layer][next[best.layer]]
            let total = saturatingSum(chosen.map(\.cost))
            guard total - chosen[best.layer].cost + step.cost > limit else {
                finish(&chosen, total: total, limit: limit)
                break
            }
            chosen[best.layer] = step
            next[best.layer] += 1
        }
        return chosen.map(\.candidate)
    }

    /// The one change that meets the limit and loses least.
    private func finish(_ chosen: inout [Option], total: Int, limit: Int) {
        var best: (layer: Int, option: Option, lost: Double)?
        for layer in layers.indices {
            for option in layers[layer] where total - chosen[layer].cost + option.cost <= limit {
                let lost = option.lost - chosen[layer].lost
                if lost < best?.lost ?? .infinity { best = (layer, option, lost) }
            }
        }
        if let best { chosen[best.layer] = best.option }
    }

    /// The options on the lower convex hull from the layer as it is to its cheapest, by falling cost.
    private static func hull(_ options: [Option]) -> [Option] {
        let sorted = options.enumerated().sorted {
            ($1.element.cost, $0.element.lost, $0.offset) < ($0.element.cost, $1.element.lost, $1.offset)
        }.map(\.element)
        var hull: [Option] = []
        for option in sorted where option.cost <= options[0].cost {
            if let last = hull.last, last.cost == option.cost { continue }
            while hull.count >= 2 {
                let (before, last) = (hull[hull.count - 2], hull[hull.count - 1])
                let slope = (last.lost - before.lost) / Double(before.cost - last.cost)
                guard (option.lost - last.lost) / Double(last.cost - option.cost) <= slope else { break }
                hull.removeLast()
            }
            hull.append(option)
        }
        return hull
    }
}
