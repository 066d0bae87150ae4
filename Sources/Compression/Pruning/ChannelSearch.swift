/// Finds the levels of groups that lose least importance within a budget. State: the level of each group.
///
/// A layer costs the product of its widths, so the problem is a knapsack whose prices change: the greedy step with the
/// least importance lost for the cost saved, then two repairs: steps are taken back where the budget has room, and one
/// group's steps are traded for another's while that loses less. Deterministic: ties go to the earlier group.
struct ChannelSearch {
    private let levels: [ChannelLevels]
    private let model: ChannelCostModel
    private(set) var state: [Int]
    /// Arithmetic spent on prices.
    private var effort = 0
    /// Beyond this repairs end, for graphs whose groups all meet in one concatenation: some seconds. Counted, not timed, so
    /// that every machine decides alike.
    private static let effortLimit = 500_000_000

    init(_ levels: [ChannelLevels], _ model: ChannelCostModel) {
        self.levels = levels
        self.model = model
        state = [Int](repeating: 0, count: levels.count)
    }

    /// The least that the groups can cost.
    var smallest: Double { model.cost(at: levels.map { $0.widths.count - 1 }) }

    var isWithinBudget: Bool { model.cost(at: state) <= model.limit }

    private func loss(_ group: Int, _ level: Int) -> Double { levels[group].losses[level] }

    /// What less it costs when a group's level changes by `steps`.
    private mutating func saving(_ group: Int, _ steps: Int) -> Double {
        effort += 2 * model.effort[group]
        let before = model.cost(of: group, at: state)
        state[group] += steps
        defer { state[group] -= steps }
        return before - model.cost(of: group, at: state)
    }

    /// What less it costs when the levels of two groups change.
    private mutating func saving(_ first: Int, _ firstSteps: Int, _ second: Int, _ secondSteps: Int) -> Double {
        effort += 2 * (model.effort[first] + model.effort[second])
        let before = model.cost(of: first, and: second, at: state)
        state[first] += firstSteps
        state[second] += secondSteps
        defer {
            state[first] -= firstSteps
            state[second] -= secondSteps
        }
        return before - model.cost(of: first, and: second, at: state)
    }

    private func canShrink(_ group: Int) -> Bool { state[group] + 1 < levels[group].widths.count }

    // MARK: All groups together

    /// How much the cost saved counts against the importance lost in a greedy step; 1 is their ratio. Where the last step
    /// overshoots the budget, or a layer that is dear now is cheap later, others end lower.
    private static let starts = [1.0, 0.5, 2, 0]

    /// The best of several greedy starts, each repaired. Precondition: `smallest` is within the budget.
    mutating func searchAll() {
        var best: (loss: Double, state: [Int])?
        for weight in Self.starts where best == nil || effort < Self.effortLimit {
            state = [Int](repeating: 0, count: levels.count)
            shrink(weight: weight)
            restore(mostSteps: nil)
            // Each trade lowers the loss; the bound is on time.
            for _ in 0..<min(100, 4 * levels.count) {
                guard effort < Self.effortLimit, trade() else { break }
                restore(mostSteps: nil)
            }
            let loss = levels.indices.reduce(0) { $0 + self.loss($1, state[$1]) }
            if best.map({ loss < $0.loss }) ?? true { best = (loss, state) }
        }
        if let best { state = best.state }
    }

    /// Greedy steps until the budget is met. A price only rises while other groups shrink, since less is saved then: so an
    /// old price is a lower bound, and only the cheapest is looked at anew (Minoux 1978, "accelerated greedy").
    private mutating func shrink(weight: Double) {
        var prices = levels.indices.map { price($0, weight: weight) }
        var isCurrent = [Bool](repeating: true, count: levels.count)
        while !isWithinBudget {
            while true {
                guard let best = prices.indices.min(by: { (prices[$0], $0) < (prices[$1], $1) }),
                    prices[best] < .infinity
                else {
                    // Rounding hides the last saving: then everything goes that can.
                    state = levels.map { $0.widths.count - 1 }
                    return
                }
                guard !isCurrent[best] else {
                    state[best] += 1
                    for group in isCurrent.indices { isCurrent[group] = false }
                    prices[best] = price(best, weight: weight)
                    isCurrent[best] = true
                    break
                }
                prices[best] = price(best, weight: weight)
                isCurrent[best] = true
            }
        }
    }

    /// What a group's next step loses for what it saves; infinite where nothing is left to take or to save.
    private mutating func price(_ group: Int, weight: Double) -> Double {
        guard canShrink(group) else { return .infinity }
        let saved = saving(group, 1)
        guard saved > 0 else { return .infinity }
        return (loss(group, state[group] + 1) - loss(group, state[group])) / Self.power(saved, weight)
    }

    /// Only products and square roots, which are the same on every machine.
    private static func power(_ value: Double, _ exponent: Double) -> Double {
        switch exponent {
        case 0: 1
        case 0.5: value.squareRoot()
        case 2: value * value
        default: value
        }
    }

    /// Takes steps back while the budget has room: those that regain most for what they cost.
    private mutating func restore(mostSteps: Int?) {
        var restored = [Int](repeating: 0, count: levels.count)
        while true {
            let room = model.limit - model.cost(at: state)
            var best: (worth: Double, group: Int)?
            for group in levels.indices where state[group] > 0 && restored[group] < mostSteps ?? .max {
                let cost = -saving(group, -1)
                guard cost <= room else { continue }
                let gain = loss(group, state[group]) - loss(group, state[group] - 1)
                let worth = cost > 0 ? gain / cost : .infinity
                if best.map({ worth > $0.worth }) ?? true { best = (worth, group) }
            }
            guard let best else { return }
            state[best.group] -= 1
            guard isWithinBudget else {
                state[best.group] += 1
                return
            }
            restored[best.group] += 1
        }
    }

    /// Takes one or two of one group's steps back for one to three of another's, the best such pair.
    /// - Returns: whether that lowered the loss.
    private mutating func trade() -> Bool {
        let room = model.limit - model.cost(at: state)
        var best: (gain: Double, back: Int, away: Int, steps: [Int])?
        for back in levels.indices {
            for away in levels.indices where away != back {
                for (restored, removed) in [(1, 1), (1, 2), (2, 1), (1, 3), (2, 3)]
                where state[back] >= restored && state[away] + removed < levels[away].widths.count {
                    let gained = loss(back, state[back]) - loss(back, state[back] - restored)
                    let gain = gained - (loss(away, state[away] + removed) - loss(away, state[away]))
                    guard gain > 1e-12 * gained, best.map({ gain > $0.gain }) ?? true else { continue }
                    guard -saving(back, -restored, away, removed) <= room else { continue }
                    best = (gain, back, away, [-restored, removed])
                }
            }
        }
        guard let best else { return false }
        let before = state
        state[best.back] += best.steps[0]
        state[best.away] += best.steps[1]
        if isWithinBudget { return true }
        state = before
        return false
    }

    // MARK: Equal shares

    /// Every class keeps the same share of its channels, the largest within the budget; what is left of the budget goes to
    /// groups that are worth it, one step each. Precondition: `smallest` is within the budget.
    mutating func searchEqualShares(classes: [[Int]]) {
        let sequences = classes.map(sequence)
        var (low, high) = (0.0, 1.0)
        take(share: high, sequences)
        guard !isWithinBudget else { return }
        // Far finer than any share at which a width changes.
        for _ in 0..<48 {
            let middle = (low + high) / 2
            take(share: middle, sequences)
            if isWithinBudget { low = middle } else { high = middle }
        }
        take(share: low, sequences)
        if !isWithinBudget { state = levels.map { $0.widths.count - 1 } }
        restore(mostSteps: 1)
    }

    /// Every class keeps a share of its channels, as nearly as its widths allow.
    mutating func take(share: Double, classes: [[Int]]) { take(share: share, classes.map(sequence)) }

    /// The steps by which the groups of a class shrink, the least important channels first, to their floors.
    private func sequence(_ groups: [Int]) -> [(group: Int, channels: Int)] {
        var level = [Int](repeating: 0, count: levels.count)
        var steps: [(group: Int, channels: Int)] = []
        while true {
            var best: (price: Double, group: Int, channels: Int)?
            for group in groups where level[group] + 1 < levels[group].widths.count {
                let now = level[group]
                let channels = levels[group].widths[now] - levels[group].widths[now + 1]
                let price = (loss(group, now + 1) - loss(group, now)) / Double(channels)
                if best.map({ price < $0.price }) ?? true { best = (price, group, channels) }
            }
            guard let best else { return steps }
            level[best.group] += 1
            steps.append((best.group, best.channels))
        }
    }

    private mutating func take(share: Double, _ sequences: [[(group: Int, channels: Int)]]) {
        state = [Int](repeating: 0, count: levels.count)
        for steps in sequences {
            // The steps reach every group of the class that can shrink; the others keep all they have.
            var seen: Set<Int> = []
            let width = steps.reduce(0) { $0 + (seen.insert($1.group).inserted ? levels[$1.group].group.channels : 0) }
            var surplus = Double(width) * (1 - share)
            for step in steps {
                // Nearest; at half a step the wider.
                guard surplus > Double(step.channels) / 2 else { break }
                surplus -= Double(step.channels)
                state[step.group] += 1
            }
        }
    }
}
