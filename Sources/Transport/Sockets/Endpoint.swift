/// What can be checked of an endpoint before ZeroMQ sees it: it takes some that mean nothing, as a port of 99999.
enum Endpoint {
    /// - Throws: `TransportError.invalidEndpoint`.
    static func check(_ endpoint: String, mayChoosePort: Bool) throws(TransportError) {
        func fail(_ reason: String) -> TransportError { .invalidEndpoint(endpoint: endpoint, reason: reason) }
        guard endpoint.utf8.count <= 255, !endpoint.utf8.contains(0) else { throw fail("it is too long") }
        guard endpoint.hasPrefix("tcp://") else { throw fail("it does not begin with tcp://") }
        let address = endpoint.dropFirst(6)
        guard let colon = address.lastIndex(of: ":") else { throw fail("it has no port") }
        guard colon > address.startIndex else { throw fail("it has no host") }
        let port = address[address.index(after: colon)...]
        if mayChoosePort, port == "*" { return }
        guard port.utf8.allSatisfy({ (48...57).contains($0) }), let number = UInt16(port), number > 0 else {
            throw fail("'\(port)' is not a port")
        }
    }

    /// Whether the host is written as an IPv4 address.
    static func isIPv4(_ endpoint: String) -> Bool {
        let host = endpoint.dropFirst(6).prefix { $0 != ":" }
        return !host.isEmpty && host.utf8.allSatisfy { (48...57).contains($0) || $0 == UInt8(ascii: ".") }
    }

    /// An IPv4 peer's address as people write it, although the socket also serves IPv6.
    static func plainAddress(_ address: String) -> String {
        address.hasPrefix("::ffff:") ? String(address.dropFirst(7)) : address
    }
}
