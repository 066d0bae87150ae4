import Glibc
import Synchronization

/// A key that may connect, under a name.
public struct AllowedKey: Sendable, Equatable {
    public let name: String
    public let publicKey: String
}

/// The keys a server lets in: a folder with one `NAME.key` per name.
///
/// A change to the folder (a file added, replaced or removed; not one edited in place) holds from the next look-up on,
/// so `pleach keys allow` and `revoke` work on a running server. A file that is no key file allows nobody.
public final class AllowList: Sendable {
    private struct State {
        /// The folder's change time when it was read; nil before the first time and when it may still be changing.
        var changeTime: [Int]?
        var names: [String: String] = [:]
        var keys: [AllowedKey] = []
    }

    public let directory: String
    private let state = Mutex(State())

    /// The folder need not exist yet: then nobody is allowed.
    public init(directory: String) {
        self.directory = directory
    }

    /// The name of an allowed key (Z85), or nil. Costs one system call when nothing has changed.
    public func lookup(_ publicKey: String) -> String? {
        state.withLock { state in
            refresh(&state)
            return state.names[publicKey]
        }
    }

    /// All allowed keys in order of name.
    public func list() -> [AllowedKey] {
        state.withLock { state in
            refresh(&state)
            return state.keys
        }
    }

    /// Allows a key under a name; allowing the same again changes nothing.
    /// - Throws: `TransportError.invalidName`, `.invalidKey`, `.keyAlreadyAllowed`, `.nameAlreadyAllowed`,
    ///   `.unwritableKeyFile`.
    public func allow(key: String, name: String) throws(TransportError) {
        let name = try KeyFile.checkedName(name)
        let key = try Z85.checked(key)
        for allowed in list() {
            if allowed.name == name, allowed.publicKey == key { return }
            if allowed.publicKey == key { throw .keyAlreadyAllowed(name: allowed.name) }
            if allowed.name == name { throw .nameAlreadyAllowed(name: name) }
        }
        try KeyFile.createFolder(directory)
        try KeyFile.create("\(directory)/\(name).key", "# Pleach public key of \(name)\n\(key)\n", mode: 0o644)
    }

    /// Takes a name and its key off the list.
    /// - Throws: `TransportError.invalidName`, `.nameNotAllowed`, `.unwritableKeyFile`.
    public func revoke(name: String) throws(TransportError) {
        let path = "\(directory)/\(try KeyFile.checkedName(name)).key"
        guard unlink(path) == 0 else {
            if errno == ENOENT { throw .nameNotAllowed(name: name, directory: directory) }
            throw .unwritableKeyFile(path: path, reason: String(cString: strerror(errno)))
        }
    }

    private func refresh(_ state: inout State) {
        var status = stat()
        guard stat(directory, &status) == 0 else {
            state = State()
            return
        }
        let changeTime = [status.st_mtim.tv_sec, status.st_mtim.tv_nsec, Int(status.st_ino)]
        guard changeTime != state.changeTime else { return }
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        // File times are coarse: a folder changed within the last second may change again and keep its time.
        let isSettled = abs(now.tv_sec - status.st_mtim.tv_sec) > 1
        state = State()
        state.changeTime = isSettled ? changeTime : nil
        for name in names() {
            // The first name wins when a key is there twice.
            guard let key = try? KeyFile.key(in: "\(directory)/\(name).key"), state.names[key] == nil else { continue }
            state.names[key] = name
            state.keys.append(AllowedKey(name: name, publicKey: key))
        }
    }

    /// Names of the key files, in order.
    private func names() -> [String] {
        guard let folder = opendir(directory) else { return [] }
        defer { closedir(folder) }
        var names: [String] = []
        while let entry = readdir(folder) {
            let file = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            guard file.hasSuffix(".key"), let name = try? KeyFile.checkedName(String(file.dropLast(4))) else {
                continue
            }
            names.append(name)
        }
        return names.sorted()
    }
}
