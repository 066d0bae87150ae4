import Synchronization

/// Counters shared between a socket thread and whoever asks.
final class CounterCell: Sendable {
    private let value = Mutex(TransportCounters())

    var counters: TransportCounters { value.withLock { $0 } }

    func update(_ change: (inout TransportCounters) -> Void) { value.withLock { change(&$0) } }
}
