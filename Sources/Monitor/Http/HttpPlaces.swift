import NIOCore
import Synchronization

/// The connections that may be open at the same time.
final class HttpPlaces: Sendable {
    /// Given back when nobody holds it any more, neither the connection nor the task that answers.
    final class Place: Sendable {
        private let places: HttpPlaces

        fileprivate init(_ places: HttpPlaces) { self.places = places }

        deinit { places.state.withLock { $0.taken -= 1 } }
    }

    private struct State {
        var taken = 0
        var channels: [ObjectIdentifier: any Channel] = [:]
    }

    private let count: Int
    private let state = Mutex(State())

    init(count: Int) { self.count = count }

    /// Nil when there is none left.
    func take(_ channel: any Channel) -> Place? {
        let isFree = state.withLock { state in
            guard state.taken < count else { return false }
            state.taken += 1
            state.channels[ObjectIdentifier(channel)] = channel
            return true
        }
        guard isFree else { return nil }
        channel.closeFuture.whenComplete { [self] _ in
            _ = state.withLock { $0.channels.removeValue(forKey: ObjectIdentifier(channel)) }
        }
        return Place(self)
    }

    var channels: [any Channel] { state.withLock { Array($0.channels.values) } }
}
