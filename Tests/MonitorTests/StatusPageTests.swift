import Federation
import Foundation
import Testing

@testable import Monitor

/// The document, and what it is told.
@Suite struct StatusPageTests {
    @Test func thePageIsSelfContained() {
        for word in [
            "src=", "http://", "https://", "@import", "url(", "innerHTML", "outerHTML", "insertAdjacentHTML",
            "document.write", "eval(", "style=\"", "onclick", "onload",
        ] {
            // The name space of SVG is a name, no address.
            let document = StatusPage.document.replacing("http://www.w3.org/2000/svg", with: "")
            #expect(!document.contains(word), "\(word)")
        }
        #expect(StatusPage.document.contains("prefers-color-scheme: dark"))
        for placeholder in ["STYLE", "SCRIPT"] { #expect(!StatusPage.document.contains(placeholder)) }
    }

    /// Landmarks, names for what has no text of its own, and captions.
    @Test func thePageCanBeReadWithoutBeingSeen() {
        let document = StatusPage.document
        for part in [
            "<html lang=\"en\">", "<header>", "<main ", "<footer ", "<noscript>", "class=\"skip\" href=\"#main\"",
            "id=\"waiting-said\" class=\"heard\" role=\"status\"", "<label for=\"token\">", "role=\"search\"",
            "aria-valuetext",
            ":focus-visible",
        ] {
            #expect(document.contains(part), "\(part)")
        }
        let tables = document.ranges(of: "<table>").count
        #expect(tables == 4)
        #expect(document.ranges(of: "<table><caption").count == tables)
        #expect(document.ranges(of: "<section").count == document.ranges(of: "aria-labelledby=\"").count - 5)
    }

    @Test func onlyItsOwnScriptMayRun() async throws {
        try await StatusServerTests.serving { url in
            let first = try await StatusServerTests.get(url, "/")
            let second = try await StatusServerTests.get(url, "/")
            let nonces = try [first, second].map { answer in
                let body = String(decoding: answer.body, as: UTF8.self)
                let nonce = try #require(body.firstMatch(of: #/<script nonce="([a-z0-9]+)">/#)).1
                #expect(answer.head.contains("script-src 'nonce-\(nonce)'; connect-src 'self'"))
                #expect(answer.head.contains("Content-Security-Policy: default-src 'none'; base-uri 'none'"))
                #expect(!answer.head.contains("unsafe-inline"))
                #expect(body.contains("<style nonce=\"\(nonce)\">"))
                return String(nonce)
            }
            #expect(nonces[0] != nonces[1])
            // Not a word of the run stands in the document.
            let page = String(decoding: first.body, as: UTF8.self)
            #expect(!page.contains("demo"))
        }
    }

    /// What no browser and no reader of JSON may take for anything but text.
    static let hostileNames = [
        "</script><script>alert(1)</script>", "<img src=x onerror=alert(1)>", "\"'&\\", "a\nb\r\u{2028}",
        "\u{202E}gnp.exe",
        "\u{0}\u{1B}[31m", String(repeating: "x", count: 5000), "{\"run\":1}",
    ]

    @Test(arguments: hostileNames) func hostileNamesStayText(name: String) throws {
        var status = StatusServerTests.status()
        status.workers = [RunStatus.Worker(name: name, state: "late", secondsSinceSeen: 1)]
        let page = PageState(status, memory: (1, 2))
        let bytes = PageJSON.encode(page)
        // One line, so that it fits into one line of an event.
        #expect(!bytes.contains { $0 < 0x20 })
        let parsed = try #require(try JSONSerialization.jsonObject(with: Data(bytes)) as? [String: Any])
        let fleet = try #require(parsed["fleet"] as? [String: Any])
        let row = try #require((fleet["rows"] as? [[String: Any]])?.first)
        #expect(row["name"] as? String == name)
        let missing = try #require(parsed["missing"] as? [String: Any])
        #expect(missing["total"] as? Int == 1)
        var picture = StatusServerTests.picture(status)
        picture.status.plan = name
        let metrics = Metrics.text(of: picture, memory: (1, 2))
        for line in metrics.split(separator: "\n", omittingEmptySubsequences: false).dropLast() {
            #expect(line.hasPrefix("# ") || line.hasPrefix("pleach_") || line.hasPrefix("process_"), "\(line)")
        }
    }

    @Test func theUrgentComeFirstAndTheRestIsCounted() {
        var status = StatusServerTests.status()
        status.workers = (0..<1000).map { index in
            RunStatus.Worker(
                name: "w\(String(format: "%04d", index))",
                state: index == 999 ? "late" : index == 998 ? "left" : "working",
                secondsSinceSeen: 1, taskSeconds: Double(index))
        }
        let page = PageState(status, memory: (0, 0))
        #expect(page.missing.total == 999)
        #expect(page.missing.rows.count == PageState.missingLimit)
        #expect(page.missing.rows.prefix(2).map(\.name) == ["w0999", "w0997"])
        #expect(page.fleet.total == 1000)
        #expect(page.fleet.rows.count == PageState.fleetLimit)
        let states = page.fleetStates.map { "\($0.count) \($0.state)" }
        #expect(states == ["998 working", "1 late", "1 left"])
    }

    @Test func agesAloneAreNoNews() {
        var status = StatusServerTests.status()
        let before = PageState(status, memory: (1, 1))
        status.round?.ageSeconds = 99
        status.workers[0].secondsSinceSeen = 77
        let after = PageState(status, memory: (2, 3))
        #expect(before != after)
        #expect(before.withoutAges == after.withoutAges)
        status.workers[1].state = "late"
        #expect(before.withoutAges != PageState(status, memory: (1, 1)).withoutAges)
    }

    @Test func theFleetIsSearchedByNameAndState() async throws {
        var status = StatusServerTests.status()
        status.workers = (0..<300).map {
            RunStatus.Worker(name: "Site-\($0)", state: $0.isMultiple(of: 2) ? "ready" : "lost")
        }
        try await StatusServerTests.serving(status) { url in
            for (query, total, rows) in [
                ("?search=site-29", 11, 11), ("?search=SITE-29&state=lost", 6, 6), ("?state=ready", 150, 100),
                ("?search=%3Cb%3E", 0, 0), ("?limit=3", 300, 3), ("?limit=-7", 300, 1), ("?limit=99999", 300, 300),
                ("", 300, 100),
            ] {
                let answer = try await StatusServerTests.get(url, "/fleet.json" + query)
                let found = try #require(try JSONSerialization.jsonObject(with: Data(answer.body)) as? [String: Any])
                #expect(found["total"] as? Int == total, "\(query)")
                #expect((found["rows"] as? [Any])?.count == rows, "\(query)")
            }
        }
    }

    /// The view is what the streams send, in one piece.
    @Test func theViewTellsTheRun() async throws {
        try await StatusServerTests.serving { url in
            let answer = try await StatusServerTests.get(url, "/view.json")
            let view = try #require(
                try JSONSerialization.jsonObject(with: Data(answer.body)) as? [String: [String: Any]])
            let live = try #require(view["live"])
            #expect(live["wireBytesUp"] as? Int == 1000)
            #expect(live["plan"] as? String == "<b>demo</b>")
            let course = try #require(view["course"]?["course"] as? [String: Any])
            let refusals = try #require(course["refusals"] as? [[String: Any]])
            #expect(refusals.map { $0["kind"] as? String } == ["declined", "norm"])
            let layers = try #require(view["course"]?["layers"] as? [[String: Any]])
            #expect(layers.first?["name"] as? String == "fc<1>")
        }
    }
}
