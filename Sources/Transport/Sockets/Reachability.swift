import Glibc

/// Whether anybody listens at an endpoint: a TCP connection, nothing more.
public enum Reachability {
    /// Connects and lets go again; blocks for at most about `seconds` beside the name's look-up.
    /// - Returns: the address that answered.
    /// - Throws: `TransportError.invalidEndpoint`, or `.system` with what the network says.
    public static func check(_ endpoint: String, seconds: Double) throws(TransportError) -> String {
        try Endpoint.check(endpoint, mayChoosePort: false)
        let address = endpoint.dropFirst("tcp://".count)
        guard let colon = address.lastIndex(of: ":") else {
            preconditionFailure("an endpoint without a port was let in")
        }
        let port = String(address[address.index(after: colon)...])
        var host = String(address[..<colon])
        if host.hasPrefix("["), host.hasSuffix("]") { host = String(host.dropFirst().dropLast()) }
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        let status = getaddrinfo(host, port, &hints, &list)
        guard status == 0 else {
            throw .system(operation: "looking up '\(host)'", reason: String(cString: gai_strerror(status)))
        }
        defer { freeaddrinfo(list) }
        var reason = "it has no address"
        var next = list
        while let entry = next {
            if let failure = connect(to: entry.pointee, seconds: seconds) {
                reason = String(cString: strerror(failure))
            } else {
                return numeric(entry.pointee) ?? host
            }
            next = entry.pointee.ai_next
        }
        throw .system(operation: "connecting to \(endpoint)", reason: reason)
    }

    /// The error that it ended with; nil where somebody answered.
    private static func connect(to address: addrinfo, seconds: Double) -> Int32? {
        let kind = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
        let descriptor = socket(address.ai_family, kind, 0)
        guard descriptor >= 0 else { return errno }
        defer { close(descriptor) }
        if Glibc.connect(descriptor, address.ai_addr, address.ai_addrlen) == 0 { return nil }
        guard errno == EINPROGRESS else { return errno }
        var waiting = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        guard poll(&waiting, 1, Int32(max(1, min(seconds, 3600) * 1000))) > 0 else { return ETIMEDOUT }
        var failure: Int32 = 0
        var size = socklen_t(MemoryLayout<Int32>.size)
        guard getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &failure, &size) == 0 else { return errno }
        return failure == 0 ? nil : failure
    }

    private static func numeric(_ address: addrinfo) -> String? {
        var text = [CChar](repeating: 0, count: Int(NI_MAXHOST))
        guard
            getnameinfo(
                address.ai_addr, address.ai_addrlen, &text, socklen_t(text.count), nil, 0, NI_NUMERICHOST) == 0
        else { return nil }
        return text.withUnsafeBufferPointer { String(cString: $0.baseAddress.unsafelyUnwrapped) }
    }
}
