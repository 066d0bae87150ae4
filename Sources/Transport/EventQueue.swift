import Synchronization

/// Events on their way from a socket thread to the one task that consumes them.
///
/// Invariant: the producer is told when the queue is full and stops reading its sockets, so neither a slow consumer
/// nor a flooding peer makes memory grow; TCP carries the pressure back to the peer.
final class EventQueue<Event: QueuedEvent>: Sendable {
    /// What one event costs besides its bytes, so that empty ones are bounded too.
    private static var overheadBytes: Int { 1024 }

    private struct State {
        var events: [Event?] = []
        var head = 0
        var byteCount = 0
        var waiters: [CheckedContinuation<Event?, Never>] = []
        var isFinished = false
    }

    private let state = Mutex(State())
    private let capacityBytes: Int
    private let onDrained: @Sendable () -> Void

    /// - Parameter onDrained: called by the consumer when a full queue has become half empty.
    init(capacityBytes: Int, onDrained: @escaping @Sendable () -> Void) {
        self.capacityBytes = capacityBytes
        self.onDrained = onDrained
    }

    var isFull: Bool { state.withLock { $0.byteCount > capacityBytes } }

    func push(_ event: Event) {
        let waiter = state.withLock { state -> CheckedContinuation<Event?, Never>? in
            guard !state.isFinished else { return nil }
            guard state.waiters.isEmpty else { return state.waiters.removeFirst() }
            state.events.append(event)
            state.byteCount += event.byteCount + Self.overheadBytes
            return nil
        }
        waiter?.resume(returning: event)
    }

    /// Ends the stream once what is queued has been consumed.
    func finish() {
        let waiters = state.withLock { state in
            state.isFinished = true
            defer { state.waiters = [] }
            return state.waiters
        }
        for waiter in waiters { waiter.resume(returning: nil) }
    }

    func next() async -> Event? {
        await withCheckedContinuation { continuation in
            var hasDrained = false
            let ready = state.withLock { state -> Event?? in
                if state.head < state.events.count {
                    let event = state.events[state.head]
                    state.events[state.head] = nil
                    state.head += 1
                    let before = state.byteCount
                    state.byteCount -= (event?.byteCount ?? 0) + Self.overheadBytes
                    hasDrained = before > capacityBytes / 2 && state.byteCount <= capacityBytes / 2
                    // The consumed front goes in bulk: the cost of one event stays constant on average.
                    if state.head > 64, state.head * 2 > state.events.count {
                        state.events.removeFirst(state.head)
                        state.head = 0
                    }
                    return .some(event)
                }
                if state.isFinished { return .some(nil) }
                state.waiters.append(continuation)
                return nil
            }
            if hasDrained { onDrained() }
            if let ready { continuation.resume(returning: ready) }
        }
    }

    /// The queue as a stream for one consumer; cancelling the consuming task ends it.
    func stream() -> AsyncStream<Event> {
        AsyncStream(unfolding: { await self.next() }, onCancel: { self.finish() })
    }
}
