import NIOHTTP1
import Testing

@testable import Monitor

/// What is taken of a head that SwiftNIO has parsed.
@Suite struct HttpRequestTests {
    private func ask(
        _ uri: String, _ headers: HTTPHeaders = ["Host": "localhost"], method: HTTPMethod = .GET,
        version: HTTPVersion = .http1_1
    ) throws(HttpRefusal) -> HttpRequest {
        try HttpRequest(HTTPRequestHead(version: version, method: method, uri: uri, headers: headers))
    }

    @Test func readsWhatItNeeds() throws {
        let request = try ask(
            "/fleet.json?search=a%20b&limit=3&search=c",
            ["hOsT": "localhost:1", "authorization": "Bearer t", "X": "y"])
        #expect(request.method == .GET)
        #expect(request.path == "/fleet.json")
        #expect(request.query == ["search": "a b", "limit": "3"])
        #expect(request.host == "localhost:1")
        #expect(request.authorization == "Bearer t")
    }

    @Test(arguments: [
        "", "*", "http://localhost/", "localhost:1", "x", "/ä", "/\u{0}", "/a b", "/a\n", "/\u{7F}",
    ]) func refusesTargetsOfAnotherForm(uri: String) {
        #expect(throws: HttpRefusal.malformed) { try ask(uri) }
    }

    @Test func refusesHeadersThatCanBeReadInTwoWays() throws {
        #expect(throws: HttpRefusal.malformed) { try ask("/", HTTPHeaders([("Host", "a"), ("host", "b")])) }
        #expect(throws: HttpRefusal.malformed) {
            try ask("/", HTTPHeaders([("Host", "a"), ("Authorization", "a"), ("AUTHORIZATION", "a")]))
        }
        #expect(throws: HttpRefusal.malformed) { try ask("/", [:]) }
        #expect(try ask("/", [:], version: .http1_0).host == nil)
    }

    @Test(arguments: [HTTPVersion.http0_9, .http2, .http3, HTTPVersion(major: 1, minor: 2)])
    func otherVersionsAreNamed(version: HTTPVersion) {
        #expect(throws: HttpRefusal.version) { try ask("/", version: version) }
    }

    /// A query costs no more than its sixteen first pairs.
    @Test func aLongQueryIsCutShort() throws {
        let pairs = (0..<100).map { "k\($0)=v" }.joined(separator: "&")
        #expect(try ask("/?" + pairs).query.count == 16)
        #expect(try ask("/?%zz=%zz&=&&a").query == ["": "", "a": ""])
    }
}
