import Federation
import Foundation
import Testing

@testable import Monitor

/// What a report says of a quantized file.
@Suite struct QuantizationReportTests {
    private static func layer(_ number: Int) -> Report.Layer {
        var layer = Report.Layer(layer: "block\(number).conv1.weight", bits: 2 + number % 7, weights: 2304)
        layer.signalToNoise = Double(10 + number)
        (layer.cosine, layer.clippedShare, layer.shareOfBytes) = (0.99, 0.0005, 0.05)
        layer.advice = number < 2 ? "more bits" : nil
        return layer
    }

    private static func report(layers count: Int) -> Report {
        var report = Report(
            run: "r", plan: "p", accuracyBefore: 0.9, accuracyAfter: 0.89, bytesBefore: 2, bytesAfter: 1, sparsity: 0,
            wireBytesUp: 0, wireBytesDown: 0, wireBytesFloat32: 0, rounds: 1, seconds: 1, refused: 0, stages: [])
        report.quantization = Report.Quantization(
            target: "x86", averageBits: 3.98, weights: count, agreement: 0.985, integerShare: 1,
            givenUp: ["fc.weight: 8 bits instead of 2 bits"],
            floatNodes: (0..<9).map { "Relu 'relu\($0)': \u{1B}[2J stays" }, remarks: ["calibrated on 40 samples"],
            front: [Report.Quantization.Point(size: 9, cost: .infinity)])
        report.layers = (0..<count).map(layer)
        return report
    }

    @Test func theWorstLayersAndWhatHelpsAreShown() {
        let text = Self.report(layers: 20).table()
        #expect(text.contains("quantized for x86: 20 weights of 3.98 bits"))
        #expect(text.contains("block0.conv1.weight") && text.contains("block11.conv1.weight"))
        #expect(!text.contains("block12.conv1.weight") && text.contains("the 12 worst of 20 layers"))
        #expect(text.contains("what helps: more bits: block0.conv1.weight, block1.conv1.weight"))
        #expect(text.contains("given up for the accuracy: fc.weight: 8 bits instead of 2 bits"))
        #expect(text.contains("stays float: 1 more") && text.contains("calibrated on 40 samples"))
        #expect(!text.contains("\u{1B}"), "names are escaped")
    }

    @Test func tablesStayNarrowAndShort() {
        var report = Self.report(layers: 5000)
        for index in report.layers.indices {
            report.layers[index].layer = String(repeating: "long.", count: 80)
            report.layers[index].weights = 999_999_999
            report.layers[index].signalToNoise = -199.9
            report.layers[index].advice = nil
        }
        report.quantization?.floatNodes = []
        let lines = report.table().split(separator: "\n").map(String.init)
        #expect(lines.map { terminalWidth($0) }.max() ?? 0 <= 100)
        #expect(lines.count < 60)
    }

    @Test func comesBackFromJSONWithEveryKey() throws {
        let report = Self.report(layers: 2)
        let data = Data(report.serialized())
        let json = try #require(JSONSerialization.jsonObject(with: data) as? [String: Any])
        let quantization = try #require(json["quantization"] as? [String: Any])
        #expect(
            quantization.keys.sorted() == [
                "agreement", "averageBits", "floatNodes", "front", "givenUp", "integerShare", "remarks", "target",
                "weights",
            ])
        let layer = try #require((json["layers"] as? [[String: Any]])?.first)
        #expect(layer.keys.count == 15 && layer["sensitivity"] is NSNull)
        #expect(layer["layer"] as? String == "block0.conv1.weight")
        let back = try JSONDecoder().decode(Report.self, from: data)
        #expect(back.layers == report.layers && back.quantization?.givenUp == report.quantization?.givenUp)
    }

    @Test func theLogSaysWhatTheFileIs() {
        func sentence(_ fields: [(String, LogValue)]) -> String {
            var event = LogEvent("layers.quantized", level: .info)
            event.fields += fields.map { (key: $0.0, value: $0.1) }
            return EventSentence.of(event, stages: nil, rounds: nil)?.text ?? ""
        }
        let plain = sentence([("target", .string("arm")), ("layers", .int(21)), ("averageBits", .double(4))])
        #expect(plain.contains("21 weights quantized for arm") && plain.contains("4 bits"))
        let none = sentence([("target", .string("arm")), ("layers", .int(0)), ("givenUp", .strings(["everything"]))])
        #expect(none.contains("no weight is quantized") && none.contains("1 given up"))
    }
}
