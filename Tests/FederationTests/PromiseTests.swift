import Foundation
import Testing

/// `protocols/session.md` names the test that proves each promise; a name that no test has proves nothing.
@Suite struct PromiseTests {
    private static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()

    @Test func everyTestThatAPromiseNamesIsThere() throws {
        let text = try String(contentsOf: Self.root.appending(path: "protocols/session.md"), encoding: .utf8)
        let named = text.matches(of: /`(\w+Tests)\.(\w+)`/).map { (suite: String($0.1), test: String($0.2)) }
        #expect(named.count >= 20)
        let suites = try Self.suites()
        for (suite, test) in named {
            let source = suites[suite]
            #expect(source != nil, "no suite \(suite)")
            #expect(source?.contains("func \(test)(") == true, "no test \(suite).\(test)")
        }
    }

    /// Text of all files that declare a suite, by its name.
    private static func suites() throws -> [String: String] {
        var suites: [String: String] = [:]
        let tests = root.appending(path: "Tests")
        let files = FileManager.default.enumerator(at: tests, includingPropertiesForKeys: nil)
        for case let file as URL in try #require(files) where file.pathExtension == "swift" {
            let text = try String(contentsOf: file, encoding: .utf8)
            for match in text.matches(of: /struct (\w+Tests)\b/) { suites[String(match.1), default: ""] += text }
        }
        return suites
    }
}
