import Foundation
import NIOHTTP1

/// A request's head as far as this server needs it. What it asks for is compared with a list of known paths: no part of it is
/// ever used as the name of a file.
struct HttpRequest: Sendable, Equatable {
    var method: HTTPMethod
    /// As it was sent, up to the question mark.
    var path: String
    /// Decoded; a name that comes twice counts once, the first time.
    var query: [String: String]
    var host: String?
    var authorization: String?

    /// Refuses what can be read in two ways: targets with a host of their own, headers that come twice.
    init(_ head: HTTPRequestHead) throws(HttpRefusal) {
        guard head.version == .http1_1 || head.version == .http1_0 else { throw .version }
        guard head.uri.hasPrefix("/"), head.uri.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else { throw .malformed }
        method = head.method
        let parts = head.uri.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        path = String(parts[0])
        query = parts.count > 1 ? Self.query(parts[1]) : [:]
        host = try Self.only("Host", of: head.headers)
        authorization = try Self.only("Authorization", of: head.headers)
        // RFC 9112, 3.2; without it nobody could say whether the request is for this machine.
        guard host != nil || head.version == .http1_0 else { throw .malformed }
    }

    private static func only(_ name: String, of headers: HTTPHeaders) throws(HttpRefusal) -> String? {
        let values = headers[name]
        guard values.count <= 1 else { throw .malformed }
        return values.first
    }

    private static func query(_ text: Substring) -> [String: String] {
        let pairs = text.split(separator: "&").prefix(16).map { pair in
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map { part in
                String(part.replacing("+", with: " ")).removingPercentEncoding ?? ""
            }
            return (parts[0], parts.count > 1 ? parts[1] : "")
        }
        return Dictionary(pairs, uniquingKeysWith: { first, _ in first })
    }
}
