import Glibc

/// Key files: `NAME.key` with the public half, `NAME.secret` with the secret half. A comment line, then the key.
public enum KeyFile {
    /// Writes both files and creates the folder if need be; existing files are never replaced.
    /// - Returns: the paths of the two files.
    /// - Throws: `TransportError.unwritableKeyFile`, `.invalidName`.
    @discardableResult
    public static func write(
        _ pair: KeyPair, directory: String, name: String
    ) throws(TransportError) -> (publicPath: String, secretPath: String) {
        let name = try checkedName(name)
        try createFolder(directory)
        let (publicPath, secretPath) = ("\(directory)/\(name).key", "\(directory)/\(name).secret")
        try checkFree(directory: directory, name: name)
        try create(secretPath, "# Pleach secret key of \(name): never give it away\n\(pair.secretKey)\n", mode: 0o600)
        try create(publicPath, "# Pleach public key of \(name)\n\(pair.publicKey)\n", mode: 0o644)
        return (publicPath, secretPath)
    }

    /// Whether neither file of a pair is there yet.
    /// - Throws: `TransportError.unwritableKeyFile` with the one that is.
    public static func checkFree(directory: String, name: String) throws(TransportError) {
        for path in ["\(directory)/\(name).key", "\(directory)/\(name).secret"] where access(path, F_OK) == 0 {
            throw .unwritableKeyFile(path: path, reason: "it exists already; choose another name or remove it")
        }
    }

    /// A public key: from a `.key` file, of the pair in a `.secret` file, or as it stands when the text is one itself.
    /// - Throws: `TransportError.unreadableKeyFile`, `.invalidKey`.
    public static func readPublic(_ pathOrKey: String) throws(TransportError) -> String {
        if access(pathOrKey, F_OK) != 0 {
            // Not a file: then it should be a key; a slash alone does not make it a path, since Z85 has slashes too.
            if pathOrKey.utf8.count == 40 { return try Z85.checked(pathOrKey) }
            throw .unreadableKeyFile(path: pathOrKey, reason: "there is no such file, and the text is not a key")
        }
        // A secret must never pass for a public key, which is printed and given away.
        if pathOrKey.hasSuffix(".secret") { return try readSecret(pathOrKey).publicKey }
        return try key(in: pathOrKey)
    }

    /// The pair from a `.secret` file.
    /// - Throws: `TransportError.exposedSecret`, `.unreadableKeyFile`, `.invalidKey`.
    public static func readSecret(_ path: String) throws(TransportError) -> KeyPair {
        var status = stat()
        guard stat(path, &status) == 0 else {
            throw .unreadableKeyFile(path: path, reason: String(cString: strerror(errno)))
        }
        guard status.st_mode & 0o007 == 0 else { throw .exposedSecret(path: path) }
        return try KeyPair(secretKey: try key(in: path))
    }

    /// A name for a key and its worker: `[A-Za-z0-9._-]{1,64}`, not beginning with a dot.
    /// - Throws: `TransportError.invalidName`.
    public static func checkedName(_ name: String) throws(TransportError) -> String {
        let allowed = name.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"):
                true
            default: false
            }
        }
        guard allowed, (1...64).contains(name.utf8.count), !name.hasPrefix(".") else { throw .invalidName(name) }
        return name
    }

    /// The one line of a key file that is not a comment.
    static func key(in path: String) throws(TransportError) -> String {
        let text = try read(path)
        let lines = text.split(whereSeparator: \.isNewline).map { String($0.trimmingSpaces) }
        let keys = lines.filter { !$0.isEmpty && !isComment($0) }
        guard let key = keys.first, keys.count == 1 else {
            throw .unreadableKeyFile(path: path, reason: "it should have one line with a key, not \(keys.count)")
        }
        do throws(TransportError) {
            return try Z85.checked(key)
        } catch {
            // Without the text: it may be a damaged secret.
            throw .unreadableKeyFile(path: path, reason: "its line is not a key of 40 Z85 characters")
        }
    }

    /// `#` is also a character of Z85, so only a line with a space behind it is a comment.
    private static func isComment(_ line: String) -> Bool { line == "#" || line.hasPrefix("# ") }

    private static func read(_ path: String) throws(TransportError) -> String {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else {
            throw .unreadableKeyFile(path: path, reason: String(cString: strerror(errno)))
        }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: 4096)
        let count = Glibc.read(descriptor, &bytes, bytes.count)
        guard count >= 0 else {
            throw .unreadableKeyFile(path: path, reason: String(cString: strerror(errno)))
        }
        guard count < bytes.count else {
            throw .unreadableKeyFile(path: path, reason: "it is too long to be a key file")
        }
        return String(decoding: bytes.prefix(count), as: UTF8.self)
    }

    /// Writes a new file in one step: it is there whole, with its permissions, or not at all.
    static func create(_ path: String, _ text: String, mode: mode_t) throws(TransportError) {
        let partial = "\(path).\(getpid()).partial"
        unlink(partial)
        let descriptor = open(partial, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode)
        guard descriptor >= 0 else {
            throw .unwritableKeyFile(path: path, reason: String(cString: strerror(errno)))
        }
        let bytes = Array(text.utf8)
        let isWritten = Glibc.write(descriptor, bytes, bytes.count) == bytes.count && fsync(descriptor) == 0
        let reason = String(cString: strerror(errno))
        close(descriptor)
        guard isWritten, rename(partial, path) == 0 else {
            unlink(partial)
            throw .unwritableKeyFile(path: path, reason: isWritten ? String(cString: strerror(errno)) : reason)
        }
    }

    static func createFolder(_ path: String) throws(TransportError) {
        var built = path.hasPrefix("/") ? "/" : ""
        for part in path.split(separator: "/") {
            built += part + "/"
            guard mkdir(built, 0o755) == 0 || errno == EEXIST else {
                throw .unwritableKeyFile(path: path, reason: String(cString: strerror(errno)))
            }
        }
    }
}

extension StringProtocol {
    /// The text without spaces and tabs around it.
    fileprivate var trimmingSpaces: SubSequence {
        let isSpace = { (character: Character) in character == " " || character == "\t" }
        guard let first = firstIndex(where: { !isSpace($0) }), let last = lastIndex(where: { !isSpace($0) }) else {
            return self[startIndex..<startIndex]
        }
        return self[first...last]
    }
}
