import Foundation

/// The secret that a request has to bring as `Authorization: Bearer TOKEN`. It shows itself nowhere: not in errors, logs or
/// descriptions.
public struct AccessToken: Sendable, Equatable, CustomStringConvertible, CustomDebugStringConvertible {
    private let bytes: [UInt8]

    /// Characters of a token (RFC 6750, 2.1, `b64token`), and how many there may be: 16 of them are at least 64 bits when made
    /// of hexadecimal digits.
    static let lengths = 16...512
    /// The environment variable that may hold it.
    public static let variable = "PLEACH_HTTP_TOKEN"

    /// - Parameter origin: what a mistake is reported as.
    public init(_ text: String, from origin: String) throws(MonitorError) {
        let bytes = Array(text.utf8)
        guard Self.lengths.contains(bytes.count), bytes.allSatisfy(Self.isAllowed) else { throw .token(origin) }
        self.bytes = bytes
    }

    /// Reads a file that holds the token on one line. A file that every user of the machine can read is refused.
    public init(contentsOf path: String) throws(MonitorError) {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw .file(path: path, operation: "read", errno: errno) }
        defer { close(descriptor) }
        var facts = stat()
        guard fstat(descriptor, &facts) == 0 else { throw .file(path: path, operation: "read", errno: errno) }
        guard facts.st_mode & S_IFMT == S_IFREG else { throw .token("the file \(path)") }
        guard facts.st_mode & 0o007 == 0 else { throw .tokenExposed(path) }
        var buffer = [UInt8](repeating: 0, count: 1024)
        let count = read(descriptor, &buffer, buffer.count)
        guard count >= 0 else { throw .file(path: path, operation: "read", errno: errno) }
        let text = String(decoding: buffer[..<count], as: UTF8.self)
        try self.init(text.trimmingCharacters(in: .whitespacesAndNewlines), from: "the file \(path)")
    }

    /// The one that a command was given: a file's before the environment's; nil where there is none.
    public static func given(
        file: String?, environment: [String: String] = ProcessInfo.processInfo.environment
    ) throws(MonitorError) -> AccessToken? {
        if let file { return try AccessToken(contentsOf: file) }
        guard let text = environment[variable], !text.isEmpty else { return nil }
        return try AccessToken(text, from: variable)
    }

    /// Whether a request's Authorization header brings this token. Takes the same time wherever the two differ.
    func isBrought(by header: String?) -> Bool {
        let words = (header ?? "").split(separator: " ", maxSplits: 1, omittingEmptySubsequences: true)
        guard words.count == 2, words[0].lowercased() == "bearer" else { return false }
        let brought = Array(words[1].utf8)
        var difference = UInt8(brought.count == bytes.count ? 0 : 1)
        for index in bytes.indices { difference |= bytes[index] ^ (index < brought.count ? brought[index] : 0) }
        return difference == 0
    }

    /// The header that brings it.
    var header: String { "Bearer " + String(decoding: bytes, as: UTF8.self) }

    public var description: String { "a token" }
    public var debugDescription: String { "a token" }

    private static func isAllowed(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        default: "-._~+/=".utf8.contains(byte)
        }
    }
}
