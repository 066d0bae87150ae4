/// One peer's violations: the first is told at once, those that follow it as one with their number, so that a peer that
/// does nothing else cannot fill the log.
struct ViolationTally {
    private var toldAtSeconds = -Double.infinity
    private var count = 0
    private var lastReason = ""

    /// Whether something is still to be told.
    var isOpen: Bool { count > 0 }

    mutating func note(_ reason: String) {
        count += 1
        lastReason = reason
    }

    /// What is to be told now, if anything: the latest reason and the number of violations since the last telling.
    mutating func due(at now: Double, every seconds: Double) -> (reason: String, count: Int)? {
        guard now - toldAtSeconds >= seconds, let due = dueAtLast() else { return nil }
        toldAtSeconds = now
        return due
    }

    /// What has not been told when the peer goes.
    mutating func dueAtLast() -> (reason: String, count: Int)? {
        guard count > 0 else { return nil }
        defer { count = 0 }
        return (lastReason, count)
    }
}
