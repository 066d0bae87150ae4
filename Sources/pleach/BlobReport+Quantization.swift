import Compression
import Foundation
import Monitor
import Shell

// What `pleach update inspect` prints of a quantized file's evidence and explanation. Names come from strangers' files and are
// escaped.

/// A table of sensitivities: what each layer costs at each number of bits.
struct SensitivityFacts: Encodable {
    struct Layer: Encodable {
        var name: String
        /// In the order of `bits`.
        var costs: [Double]
    }

    var bits: [Int]
    var layers: [Layer]

    init(_ table: SensitivityTable) {
        bits = table.bits
        layers = zip(table.layers, table.costs).map { Layer(name: $0, costs: $1) }
    }
}

extension BlobReport.Content {
    init(_ table: SensitivityTable, byteCount: Int) {
        let sensitivities = SensitivityFacts(table)
        kind = "sensitivities"
        facts = sensitivities
        lines = ["what each of \(sensitivities.layers.count) layers costs at fewer bits: \(byteCount) bytes"]
        lines += columns(
            ["layer"] + sensitivities.bits.map { "\($0) bits" },
            sensitivities.layers.map { [$0.name] + $0.costs.map { String(format: "%.5g", $0) } })
    }

    init(_ comparison: ComparisonDescription, byteCount: Int) {
        kind = "comparison"
        facts = comparison
        lines = [
            "comparison of \(comparison.layers.count) layers: \(byteCount) bytes, \(comparison.agreeing) of "
                + "\(comparison.outputs) outputs agree"
        ]
        lines += columns(
            ["layer", "noise", "cosine"],
            comparison.layers.map { [$0.name, Self.decibels($0.signalToNoise), Self.cosine($0.cosine)] })
    }

    init(_ explanation: FileExplanation, byteCount: Int) {
        kind = "explanation"
        facts = explanation
        lines = [
            "explanation of a file for \(escapedForTerminal(explanation.facts.target, limit: 40)) with "
                + "\(explanation.layers.count) quantized layers: \(byteCount) bytes"
        ]
        lines += columns(
            ["layer", "bits", "weights", "noise", "cosine"],
            explanation.layers.map {
                [$0.layer, "\($0.bits)", "\($0.weights)", Self.decibels($0.signalToNoise), Self.cosine($0.cosine)]
            })
        lines += (explanation.facts.givenUp.map { "given up: \($0)" } + explanation.facts.remarks).map {
            escapedForTerminal($0, limit: 400)
        }
    }

    private static func decibels(_ value: Double?) -> String { value.map { String(format: "%.1f dB", $0) } ?? "-" }

    private static func cosine(_ value: Double?) -> String { value.map { String(format: "%.4f", $0) } ?? "-" }
}
