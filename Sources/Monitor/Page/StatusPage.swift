import NIOHTTP1

/// The page at `/`: one document, nothing from elsewhere, not a word of the run in it: its script fetches that.
///
/// Its Content-Security-Policy lets only the script and style run that carry the answer's nonce, and lets it talk to nobody but
/// the server it came from.
enum StatusPage {
    /// The page, with a nonce of its own.
    static func answer(_ status: HTTPResponseStatus) -> HttpAnswer {
        var random = SystemRandomNumberGenerator()
        return answer(status, nonce: String(random.next(), radix: 36) + String(random.next(), radix: 36))
    }

    static func answer(_ status: HTTPResponseStatus, nonce: String) -> HttpAnswer {
        var answer = HttpAnswer(
            status, type: "text/html; charset=utf-8", body: Array(parts.joined(separator: Array(nonce.utf8))))
        answer.headers = [
            "Content-Security-Policy":
                "\(HttpAnswer.strictPolicy); style-src 'nonce-\(nonce)'; script-src 'nonce-\(nonce)'; connect-src 'self'; "
                + "img-src data:"
        ]
        return answer
    }

    /// What stands between the nonces.
    private static let parts = document.split(separator: "NONCE", omittingEmptySubsequences: false).map {
        Array($0.utf8)
    }

    /// All of it but the nonce.
    static let document =
        markup
        .replacing("STYLE", with: style)
        .replacing("SCRIPT", with: [chartScript, viewScript, streamScript].joined(separator: "\n")) + "\n"
}
