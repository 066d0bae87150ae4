/// The dynamic program behind `BitAllocation`.
struct AllocationProgram: Sendable, Equatable {
    /// A whole choice that no other beats.
    struct Point: Sendable, Equatable {
        var size: Int
        var cost: Double
        /// Its place in the last stage.
        var state: Int
    }

    /// Where a state came from: the state of the layers before, and the option of its layer.
    private struct Step: Sendable, Equatable {
        var parent: Int32
        var option: UInt8
    }

    /// Choices for the first layers that no other beats.
    private struct State {
        /// What it takes beyond the smallest choice, in steps of the grid: what states are told apart by.
        var key: Int
        /// What it takes in truth.
        var size: Int
        var cost: Double
        var step: Step

        func comesBefore(_ other: State) -> Bool {
            if key != other.key { return key < other.key }
            if cost != other.cost { return cost < other.cost }
            return size < other.size
        }
    }

    /// By layer: how its states came to be.
    private let stages: [[Step]]
    /// By rising size, costs falling.
    let front: [Point]
    let isExact: Bool

    /// Precondition: an option for each layer; the sum of the largest sizes is an integer; costs are finite.
    init(sizes: [[Int]], costs: [[Double]], stateLimit: Int) {
        // Where every layer's extra is one step of the grid, there are at most as many states as layers, and one.
        let limit = max(stateLimit, sizes.count + 2)
        var grid = 1
        var result = Self.run(sizes, costs, grid: grid, limit: limit)
        // A grid this fine is sure to be coarse enough but for the layers' own steps; many states are beaten, so less may do.
        let spread = sizes.reduce(0) { $0 + ($1.max() ?? 0) - ($1.min() ?? 0) }
        var next = max(2, spread / limit / 4)
        while result == nil {
            grid = next
            next *= 2
            result = Self.run(sizes, costs, grid: grid, limit: limit)
        }
        isExact = grid == 1
        let last = result?.last ?? []
        stages = result?.stages ?? []
        // On a grid, steps and true sizes need not have one order.
        let order = last.indices.sorted { a, b in
            if last[a].size != last[b].size { return last[a].size < last[b].size }
            return last[a].cost != last[b].cost ? last[a].cost < last[b].cost : a < b
        }
        var front: [Point] = []
        for index in order where front.last.map({ last[index].cost < $0.cost }) ?? true {
            front.append(Point(size: last[index].size, cost: last[index].cost, state: index))
        }
        self.front = front
    }

    /// nil where more states than allowed are left after some layer. Time: states x options² of each layer.
    private static func run(
        _ sizes: [[Int]], _ costs: [[Double]], grid: Int, limit: Int
    ) -> (stages: [[Step]], last: [State])? {
        var states = [State(key: 0, size: 0, cost: 0, step: Step(parent: 0, option: 0))]
        var stages: [[Step]] = []
        for (own, cost) in zip(sizes, costs) {
            let least = own.min() ?? 0
            // The smallest option takes no step, so the smallest choice stays within reach whatever the grid.
            let steps = own.map { ($0 - least) / grid + (($0 - least).isMultiple(of: grid) ? 0 : 1) }
            func shifted(_ index: Int, _ option: Int) -> State {
                State(
                    key: states[index].key + steps[option], size: states[index].size + own[option],
                    cost: states[index].cost + cost[option], step: Step(parent: Int32(index), option: UInt8(option)))
            }
            // Each option's states are in order already: they are merged.
            var heads = [Int](repeating: 0, count: own.count)
            var kept: [State] = []
            while true {
                var first: State?
                for option in own.indices where heads[option] < states.count {
                    let candidate = shifted(heads[option], option)
                    if first.map({ candidate.comesBefore($0) }) ?? true { first = candidate }
                }
                guard let first else { break }
                heads[Int(first.step.option)] += 1
                guard kept.last.map({ first.cost < $0.cost }) ?? true else { continue }
                kept.append(first)
                guard kept.count <= limit else { return nil }
            }
            states = kept
            stages.append(states.map(\.step))
        }
        return (stages, states)
    }

    /// The options of a point of the front, by layer. Precondition: it is one.
    func options(at index: Int) -> [Int] {
        var state = front[index].state
        var result: [Int] = []
        for stage in stages.reversed() {
            result.append(Int(stage[state].option))
            state = Int(stage[state].parent)
        }
        return result.reversed()
    }
}
