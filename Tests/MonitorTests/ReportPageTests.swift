import Foundation
import Testing

@testable import Federation
@testable import Monitor

#if canImport(FoundationXML)
    import FoundationXML
#endif

/// What a parser of XML finds in a page.
private final class PageReader: NSObject, XMLParserDelegate {
    var elements: [String: Int] = [:]
    var attributes: [(element: String, name: String, value: String)] = []
    var text = ""
    var failure: String?

    init(_ bytes: [UInt8]) {
        super.init()
        let parser = XMLParser(data: Data(bytes))
        parser.delegate = self
        if !parser.parse() { failure = "line \(parser.lineNumber): \(parser.parserError.map { "\($0)" } ?? "?")" }
    }

    func parser(
        _ parser: XMLParser, didStartElement element: String, namespaceURI: String?, qualifiedName: String?,
        attributes found: [String: String]
    ) {
        elements[element, default: 0] += 1
        attributes += found.map { (element, $0.key, $0.value) }
    }

    func parser(_ parser: XMLParser, foundCharacters characters: String) { text += characters }

    func values(of name: String) -> [String] { attributes.filter { $0.name == name }.map(\.value) }
}

/// `out/report.html`: a document that stands alone, whatever is in it.
@Suite struct ReportPageTests {
    private static func page(_ report: Report) -> String { String(decoding: report.page(), as: UTF8.self) }

    @Test func theSameReportHasTheSameBytesAsItsFileHas() throws {
        var report = ReportSamples.report()
        report.roundDetails[2].loss = .nan
        report.stages[0].seconds = .infinity
        let read = try #require(Report(parsing: Data(report.serialized())))
        #expect(read != report, "what JSON cannot say is gone")
        #expect(report.page() == read.page())
        #expect(ReportSamples.report().page() == ReportSamples.report().page())
    }

    @Test(arguments: ["digits", ReportSamples.hostile])
    func isWellFormedAndLoadsNothing(name: String) throws {
        let reader = PageReader(ReportSamples.report(name: name).page())
        #expect(reader.failure == nil)
        for element in ["script", "img", "link", "iframe", "object", "base", "form", "input"] {
            #expect(reader.elements[element] == nil, "\(element)")
        }
        #expect(reader.elements["meta"] == 4)
        #expect(reader.values(of: "content").contains("default-src 'none'; style-src 'unsafe-inline'"))
        #expect(reader.values(of: "href").allSatisfy { $0.hasPrefix("#") })
        let names = Set(reader.attributes.map(\.name))
        #expect(names.isDisjoint(with: ["src", "onerror", "onclick", "onload", "srcset", "action", "xlink:href"]))
        let page = Self.page(ReportSamples.report(name: name))
        #expect(
            !page.contains("url(") && !page.contains("@import") && !page.contains("http://")
                && !page.contains("https://"))
    }

    @Test func namesAreTextWhateverTheyHold() throws {
        let reader = PageReader(ReportSamples.report(name: ReportSamples.hostile).page())
        let shown = "<script>alert('x')</script>&amp;\"'\\u{202E}\\u{0}\\u{FFFE}]]>--><img src=x onerror=y>"
        // Title, heading, worker, refusal, plan's text, weight, what was given up, settings, facts, advice.
        #expect(reader.text.components(separatedBy: shown).count > 10)
        #expect(!reader.text.contains("\u{202E}") && !reader.text.contains("\u{0}"))
    }

    /// For screen readers and keyboards.
    @Test func everyPartHasAName() throws {
        let reader = PageReader(ReportSamples.report().page())
        #expect(reader.elements["main"] == 1 && reader.elements["header"] == 1 && reader.elements["nav"] == 1)
        #expect(reader.elements["h1"] == 1 && reader.values(of: "lang") == ["en"])
        #expect(reader.elements["caption"] == reader.elements["table"])
        let drawings = reader.attributes.filter { $0.element == "svg" && $0.name == "role" }.count
        let hidden = reader.attributes.filter { $0.element == "svg" && $0.name == "aria-hidden" }.count
        #expect(drawings > 3 && drawings + hidden == reader.elements["svg"])
        #expect(reader.elements["desc"] == drawings)
        let ids = reader.values(of: "id")
        #expect(ids.count == Set(ids).count, "each place has one name")
        let targets = reader.values(of: "aria-labelledby").flatMap { $0.split(separator: " ").map(String.init) }
        #expect(Set(targets + reader.values(of: "href").map { String($0.dropFirst()) }).isSubset(of: ids))
        // What scrolls can be reached with keys.
        let boxes = reader.attributes.filter { $0.name == "class" && $0.value == "scroll" }.count
        #expect(boxes == reader.elements["table"])
        #expect(reader.values(of: "tabindex").count >= boxes)
    }

    @Test func tellsWhatAStrangerAsks() throws {
        let page = Self.page(ReportSamples.report())
        for phrase in [
            "98.91 %", "from 99.11 %, −0.20 points", "from 1.69 MB, 3.92x smaller", "55.1x fewer", "3 min 03 s",
            "2025-11-21 04:15 to 2025-11-21 04:18 UTC", "pleach run Examples/digits.yaml --workers 4",
            "idx:mnist?seed=7", "16 × 1 × 3 × 3", "svd 16", "1 mask was decided for digits", "abababab", "40.1 dB",
            "digits-2",
        ] { #expect(page.contains(phrase), "\(phrase)") }
        #expect(!page.contains("has not finished") && !page.contains("class=\"notice\""))
    }

    @Test func aRunThatGoesOnSaysSoFirst() throws {
        var report = ReportSamples.report(stages: 2)
        (report.state, report.stagesPlanned, report.accuracyAfter) = ("running", 5, nil)
        let running = Self.page(report)
        #expect(running.contains("The run has not finished: it is in stage 2 of 5 (prune)."))
        let notice = try #require(running.range(of: "class=\"notice\"")?.lowerBound)
        let main = try #require(running.range(of: "<main>")?.lowerBound)
        #expect(notice < main)
        #expect(!running.contains("<dt>Test accuracy</dt>"), "what is not known is left out")
        report.state = "stopped"
        #expect(Self.page(report).contains("The run was stopped and can be resumed"))
    }

    @Test func reportsOfEarlierVersionsAreRead() throws {
        let old = """
            {"accuracyAfter": 0.9, "accuracyBefore": null, "bytesAfter": 10, "bytesBefore": 20, "plan": "old",
             "refused": 0, "rounds": 1, "run": "r", "seconds": 1, "sparsity": 0, "wireBytesDown": 1,
             "wireBytesFloat32": 2, "wireBytesUp": 1, "roundDetails": [{"density": null, "parameters": 5, "round": 0,
             "sparsity": 0, "stage": 0, "task": "train", "wireBytesDown": 1, "wireBytesUp": 1}],
             "stages": [{"accuracyAfter": 0.9, "accuracyBefore": null, "bytesAfter": 10, "bytesBefore": 20,
             "kind": "train", "rounds": 1, "seconds": 1, "sparsity": 0, "wireBytesDown": 1, "wireBytesFloat32": 2,
             "wireBytesUp": 1}]}
            """
        let report = try #require(Report(parsing: Data(old.utf8)))
        #expect(report.origin == nil && report.tensors.isEmpty && report.stages[0].settings == nil)
        #expect(PageReader(report.page()).failure == nil)
        #expect(!Self.page(report).contains("To make it again"))
    }

    @Test(arguments: [#""rounds": -1"#, #""rounds": 9007199254740993"#, #""rounds": 1e99"#, #""rounds": "1""#])
    func impossibleFiguresAreNoReport(_ replacement: String) throws {
        let text = String(decoding: ReportSamples.report(rounds: 1).serialized(), as: UTF8.self)
        let field = #""rounds" : 1,"#
        #expect(text.contains(field))
        #expect(Report(parsing: Data(text.utf8)) != nil)
        #expect(Report(parsing: Data(text.replacing(field, with: replacement + ",").utf8)) == nil)
        #expect(Report(parsing: Data(text.dropLast(9).utf8)) == nil)
    }

    @Test func aLongRunOfALargeFleetIsBounded() throws {
        var report = ReportSamples.report(rounds: 1000, stages: 30, workers: 1000)
        report.tensors = (0..<2000).map {
            Report.Tensor(name: "layer\($0).weight", shapeBefore: [64, 64], shapeAfter: [64, 64])
        }
        report.layers = (0..<2000).map { Report.Layer(layer: "layer\($0).weight", bits: 8, weights: 4096) }
        let bytes = report.page()
        #expect(bytes.count < 700_000)
        #expect(PageReader(bytes).failure == nil)
        let page = String(decoding: bytes, as: UTF8.self)
        #expect(page.contains("961 others, together"))
        #expect(page.contains("digits-2<"), "who was refused is told")
        #expect(page.contains("The first 200 of 2,000 weights"))
        #expect(page.contains("6 stages in between are told in out/report.json"))
    }

    @Test func thePlanStaysLines() {
        let text = Markup.lines("a: <b>\n\tc: \u{1B}[2J\r\n")
        #expect(text.text == "a: &lt;b&gt;\n    c: \\u{1B}[2J\n")
    }
}
