/// A peer's allowance of messages: a token bucket that fills at a constant rate and holds two seconds' worth.
struct MessageBudget {
    private var tokens: Double
    private var filledAtSeconds: Double

    init(_ limits: Limits, at now: Double) {
        tokens = Self.capacity(limits)
        filledAtSeconds = now
    }

    private static func capacity(_ limits: Limits) -> Double { max(1, 2 * Double(limits.messagesPerSecond)) }

    /// Takes one message's token; false when there is none.
    mutating func spend(_ limits: Limits, at now: Double) -> Bool {
        let filled = tokens + max(0, now - filledAtSeconds) * Double(limits.messagesPerSecond)
        tokens = min(Self.capacity(limits), filled)
        filledAtSeconds = now
        guard tokens >= 1 else { return false }
        tokens -= 1
        return true
    }
}
