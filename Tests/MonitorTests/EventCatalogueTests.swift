import Foundation
import Testing

@testable import Monitor

@Suite struct EventCatalogueTests {
    private static let document = URL(fileURLWithPath: #filePath).resolvingSymlinksInPath()
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        .appendingPathComponent("protocols/log-events.md")

    /// The headings' names in backquotes.
    private func catalogued() throws -> [String] {
        let text = try String(contentsOf: Self.document, encoding: .utf8)
        return text.split(separator: "\n").filter { $0.hasPrefix("### ") }
            .flatMap { $0.matches(of: /`([a-z.]+)`/).map { String($0.output.1) } }
    }

    @Test func theCatalogueAndTheCodeHaveTheSameNames() throws {
        #expect(try catalogued().sorted() == EventName.all.sorted())
    }

    @Test func namesAreUnique() {
        #expect(Set(EventName.all).count == EventName.all.count)
    }

    /// Machines write names as literals, for want of this target; each must be in the catalogue.
    @Test func noSourceWritesAnotherName() throws {
        let sources = Self.document.deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent(
            "Sources")
        let files = try #require(FileManager.default.enumerator(at: sources, includingPropertiesForKeys: nil))
        var found = 0
        for case let file as URL in files where file.pathExtension == "swift" {
            let text = try String(contentsOf: file, encoding: .utf8)
            for match in text.matches(of: /LogEvent\(\s*"([^"]+)"/) {
                found += 1
                #expect(EventName.all.contains(String(match.output.1)), "\(file.lastPathComponent)")
            }
        }
        #expect(found > 0)
    }
}
