import Foundation
import Testing

@testable import Monitor

@Suite struct ReportTests {
    private static let stage = Report.Stage(
        kind: "train", accuracyBefore: nil, accuracyAfter: 0.975, bytesBefore: 107_200, bytesAfter: 107_200,
        sparsity: 0,
        wireBytesUp: 10, wireBytesDown: 20, wireBytesFloat32: 900, rounds: 3, seconds: .nan)
    private static let report = Report(
        run: "r1", plan: "demo", accuracyBefore: nil, accuracyAfter: 0.9862, bytesBefore: 107_200, bytesAfter: 27_000,
        sparsity: 0.8, wireBytesUp: 200_000, wireBytesDown: 210_000, wireBytesFloat32: 12_300_000, rounds: 22,
        seconds: 125, refused: 1, stages: [stage])

    private func object(_ bytes: [UInt8]) throws -> [String: Any] {
        try #require(JSONSerialization.jsonObject(with: Data(bytes)) as? [String: Any])
    }

    @Test func hasEveryKeyAndNullForWhatWasNotMeasured() throws {
        let json = try object(Self.report.serialized())
        #expect(
            json.keys.sorted() == [
                "accuracyAfter", "accuracyBefore", "bytesAfter", "bytesBefore", "plan", "refused", "rounds", "run",
                "seconds", "sparsity", "stages", "wireBytesDown", "wireBytesFloat32", "wireBytesUp",
            ])
        #expect(json["accuracyBefore"] is NSNull)
        #expect(json["bytesAfter"] as? Int == 27_000)
        let stage = try #require((json["stages"] as? [[String: Any]])?.first)
        #expect(
            stage.keys.sorted() == [
                "accuracyAfter", "accuracyBefore", "bytesAfter", "bytesBefore", "kind", "rounds", "seconds", "sparsity",
                "wireBytesDown", "wireBytesFloat32", "wireBytesUp",
            ])
        #expect(stage["seconds"] as? Double == 0)
    }

    @Test func comesBackFromItsFileAndReplacesTheOldOne() throws {
        let folder = LogFolder()
        let path = folder.state + "/report.json"
        try Data("old".utf8).write(to: URL(fileURLWithPath: path))
        var expected = Self.report
        expected.stages[0].seconds = 0
        try Self.report.write(to: path)
        #expect(try Report(contentsOf: path) == expected)
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.state).sorted() == ["logs", "report.json"])
    }

    @Test func leavesTheOldFileWhenTheNewOneCannotBeWritten() throws {
        #expect {
            try Self.report.write(to: "/nowhere/report.json")
        } throws: { "\($0)".contains("/nowhere/report.json: No such file") }
        let full = MonitorError.file(path: "x", operation: "write", errno: ENOSPC)
        #expect(full.isDiskFull)
        #expect(throws: MonitorError.self) { try Report(contentsOf: "/nowhere/report.json") }
    }

    @Test func closesWithATable() {
        #expect(
            Self.report.table() == """
                ─────────────────────────────────────────────────────
                                                   before       after
                ─────────────────────────────────────────────────────
                accuracy                                -     98.62 %
                model file                         107 KB     27.0 KB
                  after / before                                0.252
                masked weights                                80.00 %
                wire (before: float32 averaging)  12.3 MB      410 KB
                  fewer bytes                                   30.0x
                rounds                                             22
                time                                       2 min 05 s
                ─────────────────────────────────────────────────────
                """)
    }

    @Test func tablesAlignWideAndHostileText() {
        let lines = ClosingTable(rows: [("模型", "1", "22"), ("a\u{1B}", "333", "4")]).text().split(separator: "\n")
        #expect(lines[3...4] == ["模型          1     22", "a\\u{1B}     333      4"])
        #expect(Set(lines.map { terminalWidth(String($0)) }).count == 1)
    }

    @Test func figuresReadTheSameEverywhere() {
        #expect(
            [0, 999, 1000, 999_499, 999_600, 1_250_000].map(Figures.bytes) == [
                "0 B", "999 B", "1.00 KB", "999 KB", "1.00 MB", "1.25 MB",
            ])
        #expect(
            [0.5, 12.34, 99.96, 3599, 7320].map(Figures.seconds) == [
                "0.50 s", "12.3 s", "1 min 40 s", "59 min 59 s", "2 h 02 min",
            ])
        #expect([0, -1234, 1_000_000].map(Figures.count) == ["0", "-1,234", "1,000,000"])
        #expect(Figures.seconds(.nan) == "?")
        #expect(Figures.bytes(.max) == "9.22 EB")
    }
}
