import Foundation

/// Where the status page is served, as `--http` gives it: `127.0.0.1:7780`, `localhost:7780`, `[::1]:7780`, or, with a token,
/// any other address of this machine such as `0.0.0.0:7780`.
struct ServingAddress: Sendable, Equatable {
    let text: String
    let isVersion6: Bool
    let host: String
    let port: UInt16
    /// Whether only this machine reaches it.
    let isLoopback: Bool

    /// Port 0 lets the system choose.
    init(parsing text: String) throws(MonitorError) {
        guard text.utf8.count <= 255, let colon = text.lastIndex(of: ":"),
            let port = UInt16(text[text.index(after: colon)...]), colon > text.startIndex
        else { throw .address(text) }
        var host = String(text[..<colon])
        let isBracketed = host.hasPrefix("[") && host.hasSuffix("]")
        if isBracketed { host = String(host.dropFirst().dropLast()) }
        if host.lowercased() == "localhost" { host = "127.0.0.1" }
        if host == "*" { host = "0.0.0.0" }
        var version4 = in_addr()
        var version6 = in6_addr()
        if inet_pton(AF_INET, host, &version4) == 1 {
            isVersion6 = false
            // All of 127.0.0.0/8 stays on this machine (RFC 1122, 3.2.1.3).
            isLoopback = UInt32(bigEndian: version4.s_addr) >> 24 == 127
        } else if isBracketed, inet_pton(AF_INET6, host, &version6) == 1 {
            isVersion6 = true
            isLoopback = withUnsafeBytes(of: &version6) { $0.dropLast().allSatisfy { $0 == 0 } && $0.last == 1 }
        } else {
            // A name may resolve to anything, so it is not taken.
            throw .address(text)
        }
        self.text = text
        self.host = host
        self.port = port
    }

    /// Whether a request's Host header names this machine. A page elsewhere whose name was made to resolve to 127.0.0.1
    /// (DNS rebinding) sends its own name and gets nothing.
    static func isLocal(hostHeader: String) -> Bool {
        var host = hostHeader.lowercased()
        if host.hasPrefix("["), let end = host.firstIndex(of: "]") {
            host = String(host[host.index(after: host.startIndex)..<end])
        } else if let colon = host.lastIndex(of: ":") {
            host = String(host[..<colon])
        }
        var version4 = in_addr()
        if inet_pton(AF_INET, host, &version4) == 1 { return UInt32(bigEndian: version4.s_addr) >> 24 == 127 }
        return host == "localhost" || host == "::1"
    }
}
