/// How long rounds of each task took, in the buckets of a Prometheus histogram: of all rounds of a run, in memory that does not
/// grow with them.
public struct RoundTimes: Sendable, Equatable {
    /// The times of one task's rounds.
    public struct Task: Sendable, Equatable {
        /// Rounds of at most as many seconds as the bound of the same index, and of more than the bound before.
        public fileprivate(set) var counts = [Int](repeating: 0, count: RoundTimes.bounds.count)
        public fileprivate(set) var rounds = 0
        public fileprivate(set) var seconds = 0.0
    }

    /// Upper bounds of the buckets, in seconds.
    public static let bounds: [Double] = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600]

    private var tasks: [String: Task] = [:]
    /// Spent folding, over all rounds.
    public private(set) var foldSeconds = 0.0

    /// In the order of the tasks' names.
    public var byTask: [(name: String, times: Task)] { tasks.sorted { $0.key < $1.key }.map { ($0.key, $0.value) } }

    mutating func note(task: String, seconds: Double, foldSeconds: Double?) {
        self.foldSeconds += foldSeconds ?? 0
        var times = tasks[task, default: Task()]
        times.rounds += 1
        times.seconds += seconds
        if let bucket = Self.bounds.firstIndex(where: { seconds <= $0 }) { times.counts[bucket] += 1 }
        tasks[task] = times
    }
}
