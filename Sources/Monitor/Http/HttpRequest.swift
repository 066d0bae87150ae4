import Foundation

/// A request's head as far as this server needs it. What it asks for is compared with a list of known paths: no part of it is
/// ever used as the name of a file.
struct HttpRequest: Sendable, Equatable {
    var method: String
    /// As it was sent, up to the question mark.
    var path: String
    /// Decoded; a name that comes twice counts once, the first time.
    var query: [String: String]
    var host: String?
    var authorization: String?

    /// Why a head was not understood.
    enum Fault: Error, Equatable {
        case malformed
        case version
    }

    /// - Parameter head: everything before the empty line, in bytes.
    init(parsing head: [UInt8]) throws(Fault) {
        // One way to read every byte: no control characters but line ends, and nothing that is not UTF-8.
        guard let text = String(validating: head, as: UTF8.self) else { throw .malformed }
        var lines = text.unicodeScalars.split(separator: "\n", omittingEmptySubsequences: false).map { line in
            String(String.UnicodeScalarView(line.last == "\r" ? line.dropLast() : line))
        }
        guard lines.allSatisfy({ $0.unicodeScalars.allSatisfy { $0.value >= 0x20 && $0.value != 0x7F || $0 == "\t" } })
        else { throw .malformed }
        let words = lines.removeFirst().split(separator: " ", omittingEmptySubsequences: false).map(String.init)
        guard words.count == 3, !words[0].isEmpty, words[0].utf8.allSatisfy({ (65...90).contains($0) }),
            words[1].hasPrefix("/"), words[1].utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F })
        else { throw .malformed }
        guard words[2] == "HTTP/1.1" || words[2] == "HTTP/1.0" else { throw .version }
        method = words[0]
        let parts = words[1].split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        path = String(parts[0])
        query = parts.count > 1 ? Self.query(parts[1]) : [:]
        for line in lines where !line.isEmpty {
            // A line that continues the one before (RFC 9112, 5.2) is refused by the missing name.
            guard let colon = line.firstIndex(of: ":"), colon > line.startIndex else { throw .malformed }
            let name = line[..<colon].lowercased()
            guard name.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else { throw .malformed }
            let value = line[line.index(after: colon)...].trimmingCharacters(in: .whitespaces)
            switch name {
            case "host":
                guard host == nil else { throw .malformed }
                host = value
            case "authorization":
                guard authorization == nil else { throw .malformed }
                authorization = value
            default: break
            }
        }
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
