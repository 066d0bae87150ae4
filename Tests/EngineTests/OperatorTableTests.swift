import Foundation
import Testing

@testable import Engine

/// protocols/operators.md lists exactly the operators and opsets that the engine runs.
@Test func theTableOfOperatorsIsTheCode() throws {
    let root = URL(fileURLWithPath: #filePath).resolvingSymlinksInPath().deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent()
    let text = try String(contentsOf: root.appendingPathComponent("protocols/operators.md"), encoding: .utf8)
    var listed: [String: String] = [:]
    for line in text.split(separator: "\n") where line.hasPrefix("| ") && !line.hasPrefix("| operator ") {
        let cells = line.split(separator: "|", omittingEmptySubsequences: false).map {
            $0.trimmingCharacters(in: .whitespaces)
        }
        #expect(listed.updateValue(cells[2], forKey: cells[1]) == nil, "\(cells[1]) is listed twice")
    }
    let table = SupportedOperators.table.mapValues { "\($0.lowerBound) to \($0.upperBound)" }
    for (name, opsets) in table {
        #expect(listed[name] == opsets, "protocols/operators.md needs the row | \(name) | \(opsets) | |")
    }
    for name in listed.keys { #expect(table[name] != nil, "protocols/operators.md lists \(name)") }
}
