import Foundation
import Testing

@testable import Federation
@testable import Monitor

/// Two runs side by side.
@Suite struct RunComparisonTests {
    private static func other(_ change: (inout Report) -> Void) -> RunComparison {
        var report = ReportSamples.report()
        change(&report)
        return RunComparison(ReportSamples.report(), report, nameA: "eight", nameB: "four")
    }

    @Test func tellsFiguresWithSignedDifferences() throws {
        let comparison = Self.other {
            $0.accuracyAfter = 0.9791
            $0.bytesAfter = 215_264
            $0.seconds = 200
            $0.stages[1].accuracyAfter = 0.97
            $0.tensors[0].bits = 4
        }
        #expect(comparison.isComparable)
        let lines = comparison.text().split(separator: "\n").map(String.init)
        #expect(lines.first == "comparable: the same data, model and seed")
        func line(_ start: String) -> String { lines.first { $0.hasPrefix(start) } ?? "none" }
        #expect(line("accuracy after").hasSuffix("98.91 %     97.91 %       −1.00 points"))
        #expect(line("model file after").contains("−215 KB (−50.0 %)"))
        #expect(line("time").contains("+17.0 s (+9.3 %)"))
        #expect(line("rounds").hasSuffix(" 0"))
        #expect(line("2 prune").contains("97.00 %") && line("2 prune").contains("−2.00 points"))
        #expect(line("conv1.weight").contains("bits") && line("conv1.weight").contains("−4"))
        #expect(lines.allSatisfy { terminalWidth($0) < 160 })
    }

    @Test func namesCannotMoveATerminalThatIsGivenJSON() throws {
        let name = "conv\u{9B}31m\u{202E}"
        let report = ReportSamples.report()
        let comparison = RunComparison(report, report, nameA: name, nameB: "four")
        let json = String(decoding: comparison.json(), as: UTF8.self)
        #expect(json.contains("\\u009b") && json.contains("\\u202e"))
        #expect(!json.unicodeScalars.contains { $0 != "\n" && isUnsafeOnTerminal($0) })
        let read = try #require(JSONSerialization.jsonObject(with: Data(json.utf8)) as? [String: Any])
        #expect(read["a"] as? String == name)
    }

    private static func verdict(_ change: (inout Report) -> Void) -> String { other(change).verdict }

    @Test func differentRunsSayWhy() throws {
        let data = Self.verdict { $0.origin?.data = "idx:other" }
        #expect(data == "not like and like: other data (idx:mnist?seed=7 and idx:other)")
        let seed = Self.verdict { $0.origin?.seed = "8" }
        #expect(seed == "not like and like: another seed (7 and 8)")
        let size = Self.verdict { $0.parametersBefore = 5 }
        #expect(size.contains("another model (421,642 and 5 parameters)"))
        let model = Self.verdict { $0.origin?.model = "mlp" }
        #expect(model.contains("another model (cnn and mlp)"))
        let weights = Self.verdict { $0.origin?.openingSnapshot = "0" }
        #expect(weights.contains("its first weights differ"))
        let stopped = Self.verdict { $0.state = "stopped" }
        #expect(stopped.contains("B has not finished"))
        let old = Self.other { $0.origin = nil }
        #expect(old.verdict.contains("is not known") && !old.isComparable)
        var own = ReportSamples.report()
        own.origin?.data = nil
        let brought = RunComparison(own, own, nameA: "a", nameB: "b")
        #expect(brought.verdict.contains("workers brought their own") && !brought.isComparable)
        for verdict in [old.verdict, brought.verdict] { #expect(!verdict.contains("\n")) }
    }

    @Test func plansAreComparedSettingBySetting() throws {
        let comparison = Self.other {
            $0.origin?.planText =
                "seed: 7\nname: x\nstages:\n  - train: {rounds: 9, learningRate: 0.05}\n  - evaluate\nwire: {up: {values: int4}}"
        }
        #expect(
            comparison.settings == [
                RunComparison.Setting(key: "stages[1].train.rounds", a: "8", b: "9"),
                RunComparison.Setting(key: "wire.up.values", a: nil, b: "int4"),
            ])
        #expect(comparison.text().contains("stages[1].train.rounds"))
        let unreadable = Self.other { $0.origin?.planText = "a: [" }
        let remark = try #require(unreadable.settingsRemark)
        #expect(unreadable.settings.isEmpty && remark.contains("cannot be read"))
        let unknown = try #require(Self.other { $0.origin = nil }.settingsRemark)
        #expect(unknown.contains("not both reports"))
    }

    @Test func otherStagesEndTheComparisonOfStages() throws {
        let comparison = Self.other { $0.stages[1].kind = "distill" }
        #expect(comparison.stages.map(\.name) == ["1 train"])
        let remark = try #require(comparison.stagesRemark)
        #expect(remark.contains("from stage 2 on") && remark.contains("prune, quantize against distill, quantize"))
    }

    @Test func jsonHasEveryKey() throws {
        let comparison = Self.other { $0.accuracyBefore = nil }
        let json = try #require(JSONSerialization.jsonObject(with: Data(comparison.json())) as? [String: Any])
        #expect(json["comparable"] as? Bool == true)
        #expect(json["a"] as? String == "eight" && json["b"] as? String == "four")
        let figures = try #require(json["figures"] as? [[String: Any]])
        let before = try #require(figures.first)
        #expect(before["key"] as? String == "accuracyBefore" && before["a"] as? Double == 0.9911)
        #expect(before["b"] is NSNull && before["difference"] is NSNull)
    }

    @Test func thePageHoldsBothInOneDrawing() throws {
        let page = String(decoding: Self.other { $0.origin?.seed = "8" }.page(), as: UTF8.self)
        let plots = page.components(separatedBy: "<figure>").dropFirst()
        #expect(plots.count == 4)
        #expect(plots.allSatisfy { $0.contains("eight") && $0.contains("four") })
        #expect(plots.allSatisfy { $0.components(separatedBy: "<polyline").count == 3 })
        #expect(page.contains("not like and like: another seed"))
        let hostile = RunComparison(
            ReportSamples.report(name: ReportSamples.hostile), ReportSamples.report(), nameA: ReportSamples.hostile,
            nameB: "b")
        #expect(!String(decoding: hostile.page(), as: UTF8.self).contains("<script"))
        #expect(!hostile.text().contains("\u{202E}"))
    }

    @Test func longTextsShowWhereTheyPart() {
        let start = "folder:/data/" + String(repeating: "deep/", count: 20)
        let (first, second) = ReportWords.apart(start + "seed=7", start + "seed=8")
        #expect(first == "…/seed=7" && second == "…/seed=8")
        #expect(ReportWords.apart("seed=7", "seed=8") == ("seed=7", "seed=8"))
    }

    @Test func sameNamesAreToldApart() {
        let comparison = RunComparison(ReportSamples.report(), ReportSamples.report(), nameA: "out", nameB: "out")
        #expect(comparison.nameA == "A" && comparison.nameB == "B")
        #expect(comparison.text().contains("with the same figures"))
    }
}
