import Compression
import Federation
import Foundation
import ModelGraph
import Monitor
import UpdateCodec
import Worker

// What `pleach update inspect` prints of each kind. Names come from strangers' files and are escaped.

extension BlobReport.Content {
    init(_ description: UpdateDescription) {
        kind = description.kind
        facts = description
        lines = [description.table, description.comparison, "", description.glossary]
    }

    init(_ graph: PackedGraphFacts) {
        kind = "graph"
        facts = graph
        lines = [
            "packed graph: \(graph.bytes) bytes (\(graph.packing)), unpacked \(graph.unpackedBytes); the values of its "
                + "parameters are in snapshots"
        ]
        lines += labelledLines([
            ("parameters", "\(graph.parameters)"), ("operators", operatorText(graph.operators)),
            ("inputs", valueText(graph.inputs)), ("outputs", valueText(graph.outputs)),
        ])
    }

    init(_ summary: ModelSummary) {
        kind = "model"
        facts = summary
        lines = ["ONNX model: \(summary.bytes) bytes"] + summary.lines
    }

    init(_ snapshot: SnapshotDescription, byteCount: Int) {
        kind = "snapshot"
        facts = snapshot
        lines = [
            "snapshot of \(snapshot.parameters) weights in \(snapshot.tensors.count) tensors, \(snapshot.alive) alive: "
                + "\(byteCount) bytes, norm \(figure(snapshot.norm))",
            "graph \(snapshot.graph), mask epoch \(snapshot.maskEpoch)",
        ]
        lines += columns(
            ["tensor", "shape", "alive", "norm", "largest", "zeros"],
            snapshot.tensors.map {
                [
                    $0.name, shapeText($0.shape), $0.masked ? "\($0.alive)" : "all \($0.alive)", figure($0.norm),
                    figure(Double($0.largestMagnitude)), "\($0.zeros)",
                ]
            })
        lines += snapshot.tensors.compactMap { notFiniteLine($0.name, $0.notFinite) }
    }

    init(_ change: StructureChange, byteCount: Int) {
        kind = "structure"
        facts = StructureFacts(change)
        lines = [
            "structure change: \(change.blocks.count) residual blocks and channels of \(change.channels.count) groups leave: "
                + "\(byteCount) bytes"
        ]
        lines += change.blocks.map { "block \(escapedForTerminal($0)) goes" }
        guard !change.channels.isEmpty else { return }
        lines += columns(
            ["group", "channels", "kept"],
            change.channels.map { [$0.group, "\($0.width)", "\($0.kept.count)"] })
    }

    init(_ residual: ResidualDescription, byteCount: Int) {
        kind = "residual"
        facts = residual
        lines = [
            "residual of \(residual.tensors.count { !$0.momentum && !$0.control && !$0.projector }) tensors (what compression left out): "
                + "\(byteCount) bytes, norm \(figure(residual.norm))"
        ]
        lines += columns(
            ["tensor", "what", "shape", "norm", "largest", "zeros"],
            residual.tensors.map {
                [
                    $0.name, $0.momentum ? "momentum" : $0.control ? "control" : $0.projector ? "projector" : "owed",
                    shapeText($0.shape),
                    figure($0.norm),
                    figure(Double($0.largestMagnitude)), "\($0.zeros)",
                ]
            })
        lines += residual.tensors.compactMap { notFiniteLine($0.name, $0.notFinite) }
    }

    init(_ moments: MomentDescription, byteCount: Int) {
        kind = "moments"
        facts = moments
        lines = ["second moments of \(moments.layers.count) layers: \(byteCount) bytes"]
        lines += columns(
            ["layer", "extent", "RMS", "largest"],
            moments.layers.map {
                [$0.name, "\($0.size)", figure($0.rootMeanSquare), figure(Double($0.largest))]
            })
    }

    init(_ calibration: CalibrationDescription, byteCount: Int) {
        kind = "calibration"
        facts = calibration
        lines = ["calibration set of \(calibration.tensors.count) tensors: \(byteCount) bytes"]
        lines += columns(
            ["tensor", "values", "smallest", "largest", "mean", "RMS", "bins"],
            calibration.tensors.map {
                [
                    $0.name, "\($0.values)", figure($0.minimum.map(Double.init)), figure($0.maximum.map(Double.init)),
                    figure($0.mean), figure($0.rootMeanSquare), "\($0.usedBins)",
                ]
            })
    }
}

extension ModelSummary {
    /// One line a figure.
    var lines: [String] {
        labelledLines([
            ("parameters", "\(parameters)"),
            ("nonzero parameters", "\(nonzeroParameters)"),
            ("MACs", macs.map(String.init) ?? "not known"),
            ("bytes", "\(bytes)"),
            ("opset", "\(opset)"),
            ("operators", operatorText(operators)),
            ("inputs", valueText(inputs)),
            ("outputs", valueText(outputs)),
        ])
    }
}

private func labelledLines(_ rows: [(label: String, value: String)]) -> [String] {
    rows.map { $0.label.padding(toLength: 20, withPad: " ", startingAt: 0) + escapedForTerminal($0.value, limit: .max) }
}

private func operatorText(_ operators: [String: Int]) -> String {
    operators.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }.joined(separator: ", ")
}

private func valueText(_ values: [ModelSummary.Value]) -> String { values.map { "\($0)" }.joined(separator: "; ") }

private func shapeText(_ shape: [Int]) -> String { "[" + shape.map(String.init).joined(separator: ", ") + "]" }

private func figure(_ value: Double?) -> String { value.map { String(format: "%.5g", $0) } ?? "-" }

private func notFiniteLine(_ name: String, _ count: Int) -> String? {
    count == 0 ? nil : "\(escapedForTerminal(name)) holds \(count) infinities or NaNs, left out of its figures"
}

/// Rows under their heads: the first column on the left, the others on the right.
func columns(_ head: [String], _ rows: [[String]]) -> [String] {
    guard !rows.isEmpty else { return [] }
    var table = TextTable(head, numbers: Set(1..<head.count), cellWidth: 400)
    for row in rows { table.add(row) }
    return table.lines
}
