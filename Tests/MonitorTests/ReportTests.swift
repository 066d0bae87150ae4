import Federation
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

    private static let round = Report.Round(
        round: 4, stage: 1, task: "train", wireBytesUp: 5, wireBytesDown: 6, parameters: nil, sparsity: 0.5,
        density: 0.1)

    private func object(_ bytes: [UInt8]) throws -> [String: Any] {
        try #require(JSONSerialization.jsonObject(with: Data(bytes)) as? [String: Any])
    }

    @Test func hasEveryKeyAndNullForWhatWasNotMeasured() throws {
        var report = Self.report
        report.roundDetails = [Self.round]
        report.millisecondsAfter = .infinity
        let json = try object(report.serialized())
        #expect(json["millisecondsAfter"] is NSNull)
        #expect(
            json.keys.sorted() == [
                "accuracyAfter", "accuracyBefore", "bytesAfter", "bytesBefore", "endedAt", "files", "layers",
                "macsAfter", "macsBefore", "millisecondsAfter", "millisecondsBefore", "newestRefusals", "notMeasured",
                "origin", "parametersAfter", "parametersBefore", "plan", "quantization", "refusals", "refused",
                "roundDetails", "rounds", "run", "runtime", "runtimeVersion", "seconds", "sparsity", "stages",
                "stagesPlanned", "startedAt", "state", "tensors", "wireBytesDown", "wireBytesFloat32", "wireBytesUp",
                "workers", "workersTotal",
            ])
        #expect(json["accuracyBefore"] is NSNull)
        #expect(json["quantization"] is NSNull)
        #expect(json["bytesAfter"] as? Int == 27_000)
        let stage = try #require((json["stages"] as? [[String: Any]])?.first)
        #expect(
            stage.keys.sorted() == [
                "accuracyAfter", "accuracyBefore", "bytesAfter", "bytesBefore", "contributions", "facts", "kind",
                "loss", "macsAfter", "macsBefore", "millisecondsAfter", "millisecondsBefore", "parametersAfter",
                "parametersBefore", "refusals", "rounds", "seconds", "settings", "sparsity", "state", "wireBytesDown",
                "wireBytesFloat32", "wireBytesUp",
            ])
        #expect(stage["seconds"] as? Double == 0)
        #expect(stage["macsAfter"] is NSNull)
        let round = try #require((json["roundDetails"] as? [[String: Any]])?.first)
        #expect(
            round.keys.sorted() == [
                "accuracy", "contributions", "density", "loss", "parameters", "refusals", "round", "seconds",
                "sparsity", "stage", "task", "wireBytesDown", "wireBytesFloat32", "wireBytesUp",
            ])
        #expect(round["parameters"] is NSNull)
        #expect(round["density"] as? Double == 0.1)
    }

    @Test func comesBackFromItsFileAndReplacesTheOldOne() throws {
        let folder = LogFolder()
        let path = folder.state + "/report.json"
        try Data("old".utf8).write(to: URL(fileURLWithPath: path))
        var expected = Self.measured
        expected.roundDetails = [Self.round]
        for index in expected.stages.indices { expected.stages[index].seconds = 0 }
        try expected.write(to: path)
        #expect(try Report(contentsOf: path) == expected)
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.state).sorted() == ["logs", "report.json"])
    }

    @Test func aLaterVersionsKindOfRefusalIsAnother() throws {
        let folder = LogFolder()
        let path = folder.state + "/report.json"
        var report = Self.measured
        report.refusals = [RunCourse.Refusals(kind: .norm, count: 2)]
        try report.write(to: path)
        let text = try String(contentsOfFile: path, encoding: .utf8)
        let later = text.replacingOccurrences(of: "\"norm\"", with: "\"unheardOf\"")
        try #require(later != text)
        try later.write(toFile: path, atomically: false, encoding: .utf8)
        report.refusals[0].kind = .other
        #expect(try Report(contentsOf: path).refusals == report.refusals)
    }

    @Test func leavesTheOldFileWhenTheNewOneCannotBeWritten() throws {
        #expect {
            try Self.report.write(to: "/nowhere/report.json")
        } throws: { "\($0)".contains("/nowhere/report.json: No such file") }
        let full = MonitorError.file(path: "x", operation: "write", errno: ENOSPC)
        #expect(full.isDiskFull)
        #expect(throws: MonitorError.self) { try Report(contentsOf: "/nowhere/report.json") }
    }

    /// A folder that came from elsewhere may hold anything of that name; opening a pipe would wait for ever.
    @Test(.timeLimit(.minutes(1))) func whatIsNoRegularFileIsNoReport() throws {
        let folder = LogFolder()
        let path = folder.state + "/report.json"
        #expect(mkfifo(path, 0o600) == 0)
        for file in [path, "/dev/zero", folder.state] {
            #expect(throws: MonitorError.report(file)) { try Report(contentsOf: file) }
        }
        try Data("{}".utf8).write(to: URL(fileURLWithPath: folder.state + "/other.json"))
        #expect {
            try Report(contentsOf: folder.state + "/other.json")
        } throws: { "\($0)".contains("other.json is no report: give an out/report.json") }
    }

    /// A rename would put a file in the place of /dev/stdout.
    @Test func aPipeIsWrittenToAndStaysOne() throws {
        let folder = LogFolder()
        let path = folder.state + "/pipe"
        #expect(mkfifo(path, 0o600) == 0)
        // Open for both, so that neither end waits for the other; the report fits into the pipe.
        let reader = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK)
        defer { close(reader) }
        try Self.report.write(to: path)
        let expected = Self.report.serialized()
        var received = [UInt8](repeating: 0, count: expected.count + 1)
        let count = read(reader, &received, received.count)
        #expect(count == expected.count && Array(received.prefix(max(0, count))) == expected)
        var facts = stat()
        #expect(stat(path, &facts) == 0 && facts.st_mode & S_IFMT == S_IFIFO)
    }

    /// Three stages, of which the second makes the model smaller and the third makes it integers.
    private static var measured: Report {
        var report = report
        report.bytesBefore = 1_104_000
        (report.parametersBefore, report.parametersAfter) = (272_474, 137_000)
        (report.macsBefore, report.macsAfter) = (41_200_000, 20_600_000)
        (report.millisecondsBefore, report.millisecondsAfter) = (1.25, 0.5)
        (report.runtime, report.runtimeVersion) = ("onnxruntime", "1.31.1")
        var train = stage
        train.parametersAfter = 272_474
        train.macsAfter = 41_200_000
        train.millisecondsAfter = 1.25
        var prune = train
        prune.kind = "prune"
        prune.accuracyAfter = 0.9791
        prune.bytesAfter = 551_000
        prune.parametersAfter = 137_000
        prune.macsAfter = 20_600_000
        prune.millisecondsAfter = 0.8314
        prune.sparsity = 0.5
        (prune.wireBytesUp, prune.wireBytesDown, prune.rounds) = (2_000_000, 1_000_000, 10)
        var quantize = prune
        quantize.kind = "quantize"
        quantize.millisecondsAfter = nil
        quantize.rounds = 0
        report.stages = [train, prune, quantize]
        var trained = round
        trained.stage = 0
        var scored = trained
        scored.task = "score"
        (scored.wireBytesUp, scored.wireBytesDown) = (1_000_000, 1_000_000)
        report.roundDetails = [trained, scored]
        return report
    }

    @Test func closesWithTables() {
        #expect(
            Self.measured.table() == """
                ─────────────────────────────────────────────────────
                                                   before       after
                ─────────────────────────────────────────────────────
                accuracy                                -     98.62 %
                model file                        1.10 MB     27.0 KB
                  after / before                                0.024
                parameters                        272,474     137,000
                multiply-accumulates               41.2 M      20.6 M
                ms in ONNX Runtime, one thread       1.25       0.500
                  faster                                        2.50x
                masked weights                                80.00 %
                wire (before: float32 averaging)  12.3 MB      410 KB
                  fewer bytes                                   30.0x
                rounds                                             22
                time                                       2 min 05 s
                ─────────────────────────────────────────────────────
                ───────────────────────────────────────────────────────────────────────────────────────
                stage       parameters    MACs     file     ms  accuracy   masked  up/round  down/round
                ───────────────────────────────────────────────────────────────────────────────────────
                start          272,474  41.2 M  1.10 MB   1.25         -   0.00 %         -           -
                1 train        272,474  41.2 M   107 KB   1.25   97.50 %   0.00 %       5 B         6 B
                2 prune        137,000  20.6 M   551 KB  0.831   97.91 %  50.00 %    200 KB      100 KB
                3 quantize     137,000  20.6 M   551 KB      -   97.91 %  50.00 %         -           -
                ───────────────────────────────────────────────────────────────────────────────────────
                up/round, down/round: mean of the training rounds, or of all where a stage has none
                ms: one sample in onnxruntime 1.31.1, one thread, median
                """)
    }

    @Test func saysWhyNothingWasMeasured() {
        var report = Self.report
        report.notMeasured = "no\u{1B}[2J Python"
        let lines = report.table().split(separator: "\n")
        #expect(lines.last == "not measured: no\\u{1B}[2J Python")
        #expect(lines.contains { $0.hasPrefix("parameters ") && $0.hasSuffix("-") })
        #expect(!report.table().contains("ms: one sample"))
    }

    @Test func tablesStayNarrowAndShort() {
        var report = Self.measured
        var wide = report.stages[1]
        wide.kind = "a kind that\u{202E} no plan has"
        wide.parametersAfter = 999_999_999
        wide.macsAfter = .max
        wide.bytesAfter = .max
        wide.millisecondsAfter = 99_999_999
        wide.accuracyAfter = 1
        wide.sparsity = 0.9999
        (wide.wireBytesUp, wide.wireBytesDown, wide.rounds) = (999_499, 999_499, 1)
        report.stages = Array(repeating: wide, count: 1000)
        let lines = report.table().split(separator: "\n").map(String.init)
        #expect(lines.map { terminalWidth($0) }.max() ?? 0 <= 100)
        #expect(lines.count < 70)
        #expect(lines.contains { $0.hasPrefix("20 a kind") })
        #expect(lines.contains { $0.hasPrefix("981 a kind") })
        #expect(!lines.contains { $0.hasPrefix("21 a kind") || $0.hasPrefix("980 a kind") })
        #expect(!report.table().contains("\u{202E}"))
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
        #expect([0, 999, 41_200_000, 4_100_000_000].map(Figures.amount) == ["0", "999", "41.2 M", "4.10 G"])
        #expect([0.0514, 0.9996, 12.345, 351.4].map(Figures.milliseconds) == ["0.051", "1.00", "12.3", "351"])
        #expect(Figures.milliseconds(.nan) == "?")
        #expect(Figures.seconds(.nan) == "?")
        #expect(Figures.bytes(.max) == "9.22 EB")
    }
}
