import Federation
import Foundation
import Synchronization

/// Appends events to STATE/logs/NAME.jsonl, one `write(2)` a line. Safe from any thread.
///
/// Opening may fail; writing never does: on a full disk lines are dropped and counted, stderr gets one warning, and the
/// first line that fits again is preceded by a `diagnostic` that says how many are missing. Secrets are never fields.
public final class EventWriter: Sendable {
    private let path: String
    private let maximumBytes: Int
    private let generations: Int
    private let minimumLevel: LogLevel
    private let warn: @Sendable (String) -> Void
    private let state: Mutex<State>

    private struct State {
        var descriptor: Int32
        var byteCount: Int
        /// The file ends within a line: a crash or a full disk cut it.
        var isMidLine: Bool
        var dropped = 0
        var droppedSinceReport = 0
    }

    /// Opens the log for appending and makes its folder.
    /// - Parameters:
    ///   - name: the writer's name; whatever cannot stand in a file name is encoded.
    ///   - maximumBytes: a file that would grow beyond this is rotated.
    ///   - files: kept altogether, the current one included; at least 1.
    ///   - warn: takes the one line about a disk that does not take events; stderr unless given.
    public init(
        directory: String, name: String, maximumBytes: Int = 64 << 20, files: Int = 4,
        minimumLevel: LogLevel = .debug, warn: @escaping @Sendable (String) -> Void = printWarning
    ) throws(MonitorError) {
        precondition(files >= 1 && maximumBytes >= 1)
        guard let file = LogFileName.encoded(name) else { throw .logName(name) }
        do {
            try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        } catch {
            throw .file(path: directory, operation: "make the folder", errno: posixCode(of: error))
        }
        path = "\(directory)/\(file)\(LogFileName.suffix)"
        self.maximumBytes = maximumBytes
        generations = files - 1
        self.minimumLevel = minimumLevel
        self.warn = warn
        state = Mutex(try Self.opened(path))
    }

    deinit { state.withLock { _ = close($0.descriptor) } }

    /// Lines that could not be written so far.
    public var droppedLines: Int { state.withLock { $0.dropped } }

    /// Appends one event; events below the minimum level are ignored.
    public func write(_ event: LogEvent, at time: Date = Date()) {
        guard event.level >= minimumLevel else { return }
        let line = EventLine.encode(event, at: time)
        state.withLock { state in
            if state.droppedSinceReport > 0 {
                let missing = LogEvent(
                    EventName.diagnostic, level: .warning,
                    [
                        "label": .string("log"), "message": .string("events before this one were not written"),
                        "dropped": .int(state.droppedSinceReport),
                    ])
                if append(EventLine.encode(missing, at: time), to: &state) { state.droppedSinceReport = 0 }
            }
            if !append(line, to: &state) {
                state.dropped += 1
                state.droppedSinceReport += 1
            }
        }
    }

    private static func opened(_ path: String) throws(MonitorError) -> State {
        let descriptor = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0o640)
        guard descriptor >= 0 else { throw .file(path: path, operation: "write", errno: errno) }
        var facts = stat()
        let byteCount = fstat(descriptor, &facts) == 0 ? Int(facts.st_size) : 0
        var last: UInt8 = 0
        let isMidLine = byteCount > 0 && pread(descriptor, &last, 1, byteCount - 1) == 1 && last != UInt8(ascii: "\n")
        return State(descriptor: descriptor, byteCount: byteCount, isMidLine: isMidLine)
    }

    /// One line, one write. A line that was cut is ended first, so that it cannot swallow this one.
    private func append(_ line: [UInt8], to state: inout State) -> Bool {
        if state.byteCount > 0, state.byteCount + line.count > maximumBytes { rotate(&state) }
        let bytes = state.isMidLine ? [UInt8(ascii: "\n")] + line : line
        var written: Int
        repeat { written = Foundation.write(state.descriptor, bytes, bytes.count) } while written < 0 && errno == EINTR
        let reason = written < 0 ? String(cString: strerror(errno)) : "no space left"
        state.byteCount += max(0, written)
        if written > 0 { state.isMidLine = written < bytes.count }
        guard written < bytes.count else { return true }
        if state.dropped == 0 { warn("events are not written to \(path): \(reason); the run goes on") }
        return false
    }

    /// NAME.jsonl becomes .1, .1 becomes .2 and so on; the oldest is dropped. What fails is tried again at the next
    /// line; until then the current file grows.
    private func rotate(_ state: inout State) {
        if generations == 0 {
            if ftruncate(state.descriptor, 0) == 0 { (state.byteCount, state.isMidLine) = (0, false) }
            return
        }
        for generation in stride(from: generations, to: 0, by: -1) {
            let source = LogFileName.path(path, generation: generation - 1)
            if rename(source, LogFileName.path(path, generation: generation)) != 0, errno != ENOENT { return }
        }
        guard let fresh = try? Self.opened(path) else {
            // Without the rename back, lines would go on into a file that readers take for finished.
            _ = rename(LogFileName.path(path, generation: 1), path)
            return
        }
        close(state.descriptor)
        (state.descriptor, state.byteCount, state.isMidLine) = (fresh.descriptor, fresh.byteCount, fresh.isMidLine)
    }
}

/// The errno behind a Foundation error, EIO when it tells none.
func posixCode(of error: any Error) -> Int32 {
    let failure = error as NSError
    if failure.domain == NSPOSIXErrorDomain { return Int32(failure.code) }
    if let under = failure.userInfo[NSUnderlyingErrorKey] as? NSError, under.domain == NSPOSIXErrorDomain {
        return Int32(under.code)
    }
    return EIO
}
