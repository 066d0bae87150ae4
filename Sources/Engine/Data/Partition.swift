import Tensors

/// Deals samples to shards: disjoint, complete, and the same for everyone with the same labels, shard count and seed.
///
/// Every worker computes the whole deal for itself and keeps its own shard, so nothing needs to be sent. What is left
/// to floating point (Dirichlet proportions) is rounded to whole samples before it decides anything.
struct Partitioner {
    struct Unsatisfiable: Error {
        let reason: String
    }

    let labels: [Int64]
    let shardCount: Int
    let seed: UInt64

    /// A shard drawn from a Dirichlet gets at least this many samples, when there are enough.
    static let fewestSamples = 8

    /// The samples of shard `index` (from 1), ascending.
    func shard(_ index: Int, by partition: DataSpec.Partition) throws(Unsatisfiable) -> [Int] {
        try deal(partition)[index - 1].sorted()
    }

    /// All shards.
    func deal(_ partition: DataSpec.Partition) throws(Unsatisfiable) -> [[Int]] {
        guard labels.count >= shardCount else {
            throw Unsatisfiable(
                reason: "\(labels.count) samples are too few for \(shardCount) shards; use fewer shards")
        }
        switch partition {
        case .iid: return dealEvenly()
        case .contiguous: return dealRuns()
        case .dirichlet(let alpha): return dealByDirichlet(alpha)
        case .classes(let count): return try dealByClasses(count)
        }
    }

    private func dealEvenly() -> [[Int]] {
        var shards = [[Int]](repeating: [], count: shardCount)
        var generator = SeededGenerator(seed: seed, labels: "partition", "iid")
        for (turn, row) in labels.indices.shuffled(using: &generator).enumerated() {
            shards[turn % shardCount].append(row)
        }
        return shards
    }

    private func dealRuns() -> [[Int]] {
        (0..<shardCount).map { shard in
            Array(shard * labels.count / shardCount..<(shard + 1) * labels.count / shardCount)
        }
    }

    /// For each class p ~ Dir(alpha, ..., alpha) over the shards (Hsu, Qi, Brown 2019; Li et al. 2021).
    private func dealByDirichlet(_ alpha: Double) -> [[Int]] {
        var shards = [[Int]](repeating: [], count: shardCount)
        for (label, rows) in rowsByClass() {
            var generator = SeededGenerator(seed: seed, labels: "partition", "dirichlet", "\(label)")
            let counts = Self.apportion(
                rows.count, by: Dirichlet.sample(alpha: alpha, count: shardCount, using: &generator))
            var start = 0
            for (shard, count) in counts.enumerated() {
                shards[shard].append(contentsOf: rows[start..<start + count])
                start += count
            }
        }
        // Without a few samples a worker could not train, so the largest shards give to the poorest.
        let fewest = max(1, min(Self.fewestSamples, labels.count / (2 * shardCount)))
        for shard in shards.indices {
            while shards[shard].count < fewest {
                guard let largest = shards.indices.max(by: { shards[$0].count < shards[$1].count }),
                    let row = shards[largest].popLast()
                else { preconditionFailure("\(labels.count) samples over \(shardCount) shards") }
                shards[shard].append(row)
            }
        }
        return shards
    }

    /// Shard s holds the classes at places s*K ..< (s+1)*K of a shuffled ring; the holders of a class share it evenly.
    private func dealByClasses(_ count: Int) throws(Unsatisfiable) -> [[Int]] {
        var generator = SeededGenerator(seed: seed, labels: "partition", "classes")
        let classes = rowsByClass().shuffled(using: &generator)
        guard count <= classes.count else {
            throw Unsatisfiable(reason: "classes:\(count) is more than the \(classes.count) classes there are")
        }
        guard count * shardCount >= classes.count else {
            let needed = (classes.count + count - 1) / count
            throw Unsatisfiable(
                reason: "classes:\(count) over \(shardCount) shards leaves out some of the \(classes.count) classes; "
                    + "use at least \(needed) shards or classes:\((classes.count + shardCount - 1) / shardCount)")
        }
        var holders = [[Int]](repeating: [], count: classes.count)
        for shard in 0..<shardCount {
            for place in 0..<count { holders[(shard * count + place) % classes.count].append(shard) }
        }
        var shards = [[Int]](repeating: [], count: shardCount)
        for (place, group) in classes.enumerated() {
            guard group.rows.count >= holders[place].count else {
                throw Unsatisfiable(
                    reason: "class \(group.label) has \(group.rows.count) samples for \(holders[place].count) shards; "
                        + "use fewer shards or a smaller K")
            }
            for (turn, row) in group.rows.enumerated() {
                shards[holders[place][turn % holders[place].count]].append(row)
            }
        }
        return shards
    }

    /// The rows of each class that occurs, classes ascending, rows shuffled.
    private func rowsByClass() -> [(label: Int64, rows: [Int])] {
        var groups: [Int64: [Int]] = [:]
        for (row, label) in labels.enumerated() { groups[label, default: []].append(row) }
        return groups.sorted { $0.key < $1.key }.map { label, rows in
            var generator = SeededGenerator(seed: seed, labels: "partition", "class", "\(label)")
            return (label, rows.shuffled(using: &generator))
        }
    }

    /// Whole numbers that add up to `total`, in the given proportions (largest remainders, ties to the first).
    static func apportion(_ total: Int, by proportions: [Double]) -> [Int] {
        let exact = proportions.map { $0 * Double(total) }
        var counts = exact.map { Int($0.rounded(.down)) }
        let order = counts.indices.sorted { (left: Int, right: Int) in
            let (a, b) = (exact[left] - Double(counts[left]), exact[right] - Double(counts[right]))
            return a == b ? left < right : a > b
        }
        var rest = total - counts.reduce(0, +)
        var turn = 0
        while rest != 0 {
            let shard = order[turn % order.count]
            // Rounding in the sum of proportions can make the rest negative by one; then the last remainder pays.
            if rest > 0 { counts[shard] += 1 } else if counts[shard] > 0 { counts[shard] -= 1 }
            rest = total - counts.reduce(0, +)
            turn += 1
        }
        return counts
    }
}
