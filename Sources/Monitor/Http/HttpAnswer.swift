/// What a request gets. Every answer closes its connection: no state of one request can reach the next.
struct HttpAnswer: Sendable, Equatable {
    enum Code: Int, Sendable {
        case ok = 200
        case badRequest = 400
        case unauthorized = 401
        case forbidden = 403
        case notFound = 404
        case methodNotAllowed = 405
        case requestTimeout = 408
        case headersTooLarge = 431
        case unavailable = 503
        case versionNotSupported = 505

        var phrase: String {
            switch self {
            case .ok: "OK"
            case .badRequest: "Bad Request"
            case .unauthorized: "Unauthorized"
            case .forbidden: "Forbidden"
            case .notFound: "Not Found"
            case .methodNotAllowed: "Method Not Allowed"
            case .requestTimeout: "Request Timeout"
            case .headersTooLarge: "Request Header Fields Too Large"
            case .unavailable: "Service Unavailable"
            case .versionNotSupported: "HTTP Version Not Supported"
            }
        }
    }

    var code: Code
    var type: String
    var body: [UInt8]
    var headers: [(name: String, value: String)] = []

    init(_ code: Code, type: String = "text/plain; charset=utf-8", body: [UInt8]) {
        self.code = code
        self.type = type
        self.body = body
    }

    init(_ code: Code, text: String) { self.init(code, body: Array(text.utf8)) }

    static func == (a: HttpAnswer, b: HttpAnswer) -> Bool {
        a.code == b.code && a.type == b.type && a.body == b.body
            && a.headers.elementsEqual(b.headers) { $0.name == $1.name && $0.value == $1.value }
    }

    /// Nothing may come from, or go, anywhere else; pages say what of theirs may run.
    static let strictPolicy = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

    /// Status line and headers. A stream has no length: it ends with its connection.
    func head(isStream: Bool = false) -> [UInt8] {
        var lines = ["HTTP/1.1 \(code.rawValue) \(code.phrase)", "Content-Type: \(type)"]
        if !isStream { lines.append("Content-Length: \(body.count)") }
        lines += [
            "Cache-Control: no-store", "X-Content-Type-Options: nosniff", "Referrer-Policy: no-referrer",
            "Cross-Origin-Resource-Policy: same-origin", "Connection: close",
        ]
        if !headers.contains(where: { $0.name == "Content-Security-Policy" }) {
            lines.append("Content-Security-Policy: \(Self.strictPolicy)")
        }
        lines += headers.map { "\($0.name): \($0.value)" }
        return Array((lines.joined(separator: "\r\n") + "\r\n\r\n").utf8)
    }
}
