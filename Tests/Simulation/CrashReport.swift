import Foundation

/// Names the seeds that are running when a precondition ends the process: a trap leaves no other trace of its seed.
enum CrashReport {
    private static let slots = 64
    // A slot belongs to one thread at a time; the handler reads them when the process is lost anyway.
    private nonisolated(unsafe) static let running: UnsafeMutablePointer<UInt64> = {
        let slots = UnsafeMutablePointer<UInt64>.allocate(capacity: Self.slots)
        slots.initialize(repeating: .max, count: Self.slots)
        for number in [SIGILL, SIGTRAP, SIGSEGV, SIGABRT] {
            signal(number) { number in
                CrashReport.print("simulation: trapped; again with one of:")
                for slot in 0..<CrashReport.slots where CrashReport.running[slot] != .max {
                    CrashReport.print(" make simulate TRACE=1 SEED=\(CrashReport.running[slot]);")
                }
                CrashReport.print("\n")
                signal(number, SIG_DFL)
                raise(number)
            }
        }
        return slots
    }()

    private static func print(_ text: String) {
        let bytes = Array(text.utf8)
        _ = write(STDERR_FILENO, bytes, bytes.count)
    }

    static func naming<Result>(seed: UInt64, _ body: () -> Result) -> Result {
        let slot = Int(UInt(bitPattern: pthread_self().hashValue) % UInt(slots))
        running[slot] = seed
        defer { running[slot] = .max }
        return body()
    }
}
