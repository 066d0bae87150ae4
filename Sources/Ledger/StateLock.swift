import Foundation

/// Exclusive use of a state folder by one process. The kernel releases it when the process dies, however it dies.
public final class StateLock: Sendable {
    private let descriptor: Int32

    /// - Throws: `LedgerError.stateInUse` with the holder's process id.
    public init(directory: String) throws(LedgerError) {
        let path = directory + "/lock"
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw .writing(path, errno: errno) }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            let code = errno
            guard code == EWOULDBLOCK else {
                close(descriptor)
                throw .writing(path, errno: code)
            }
            var buffer = [UInt8](repeating: 0, count: 32)
            let count = read(descriptor, &buffer, buffer.count)
            close(descriptor)
            let text = String(decoding: buffer.prefix(max(0, count)), as: UTF8.self)
            throw .stateInUse(path: directory, pid: Int32(text.trimmingCharacters(in: .whitespacesAndNewlines)))
        }
        let line = Array("\(getpid())\n".utf8)
        if ftruncate(descriptor, 0) != 0 || write(descriptor, line, line.count) != line.count {
            let code = errno
            close(descriptor)
            throw .writing(path, errno: code)
        }
        self.descriptor = descriptor
    }

    deinit { close(descriptor) }

    /// Whether a folder that is there could be taken; nothing is created.
    /// - Throws: what `init` would.
    public static func check(directory: String) throws(LedgerError) {
        let path = directory + "/lock"
        let isThere = access(path, F_OK) == 0
        guard access(isThere ? path : directory, isThere ? R_OK | W_OK : W_OK | X_OK) == 0 else {
            throw .writing(path, errno: errno)
        }
        // Only a lock that somebody living has written himself into is tried, for an instant, so a look never stands in the
        // way of a process that starts.
        guard isThere, let pid = holder(directory: directory) else { return }
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw .writing(path, errno: errno) }
        defer { close(descriptor) }
        guard flock(descriptor, LOCK_SH | LOCK_NB) == 0 || errno != EWOULDBLOCK else {
            throw .stateInUse(path: directory, pid: pid)
        }
    }

    /// The living process that took the folder last, for those who only look; nil when it is gone. Takes no lock itself,
    /// so that a look never stands in a starting process's way.
    public static func holder(directory: String) -> Int32? {
        guard let text = try? String(contentsOfFile: directory + "/lock", encoding: .utf8),
            let pid = Int32(text.trimmingCharacters(in: .whitespacesAndNewlines)), pid > 0,
            kill(pid, 0) == 0 || errno == EPERM
        else { return nil }
        return pid
    }
}
