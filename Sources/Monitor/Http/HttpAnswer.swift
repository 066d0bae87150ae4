import NIOHTTP1

/// What a request gets. Every answer closes its connection: no state of one request can reach the next.
struct HttpAnswer: Sendable, Equatable {
    var status: HTTPResponseStatus
    var type: String
    var body: [UInt8]
    var headers = HTTPHeaders()

    init(_ status: HTTPResponseStatus, type: String = "text/plain; charset=utf-8", body: [UInt8]) {
        self.status = status
        self.type = type
        self.body = body
    }

    init(_ status: HTTPResponseStatus, text: String) { self.init(status, body: Array(text.utf8)) }

    /// Nothing may come from, or go, anywhere else; pages say what of theirs may run.
    static let strictPolicy = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

    /// Status line and headers. A stream has no length: it ends with its connection.
    func head(isStream: Bool = false) -> HTTPResponseHead {
        var fields: HTTPHeaders = ["Content-Type": type]
        if !isStream { fields.add(name: "Content-Length", value: String(body.count)) }
        fields.add(contentsOf: [
            ("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff"), ("Referrer-Policy", "no-referrer"),
            ("Cross-Origin-Resource-Policy", "same-origin"), ("Connection", "close"),
        ])
        if !headers.contains(name: "Content-Security-Policy") {
            fields.add(name: "Content-Security-Policy", value: Self.strictPolicy)
        }
        fields.add(contentsOf: headers)
        return HTTPResponseHead(version: .http1_1, status: status, headers: fields)
    }
}
