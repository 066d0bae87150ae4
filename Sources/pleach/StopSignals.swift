import Dispatch
import Foundation

/// Turns SIGINT and SIGTERM into an orderly stop; a second signal ends the process at once.
final class StopSignals: Sendable {
    private let stop: @Sendable () -> Void
    // Sources live as long as the process; they are only stored to keep them alive.
    private nonisolated(unsafe) var sources: [any DispatchSourceSignal] = []

    init(_ stop: @escaping @Sendable () -> Void) {
        self.stop = stop
        let numbers = [SIGINT, SIGTERM]
        for number in numbers {
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler {
                // Whichever comes second.
                for number in numbers { signal(number, SIG_DFL) }
                stop()
            }
            source.resume()
            sources.append(source)
        }
    }

    /// Stops when standard input ends: a process started by `pleach run` ends with its parent, however that dies.
    func stopAtEndOfInput() {
        let stop = stop
        Thread.detachNewThread {
            var byte: UInt8 = 0
            while read(STDIN_FILENO, &byte, 1) > 0 {}
            stop()
        }
    }
}
