extension UpdateDescription {
    /// The description as lines for people: the header, then one line per mask change and per tensor.
    public var table: String {
        var lines = [
            "\(kind) of \(modelElements) weights in \(modelTensors) tensors: \(bytes) bytes "
                + "(\(Self.rounded(bitsPerWeight)) bits a weight), body of \(bodyBytes) bytes \(packing)",
            "base \(base), mask epoch \(oldMaskEpoch.map { "\($0) -> " } ?? "")\(maskEpoch)",
        ]
        for change in maskChanges {
            let reach = change.relative ? "of the alive so far" : "of all"
            lines.append(
                "mask of tensor \(change.index): \(change.elements) elements, \(change.coding) \(reach), \(change.bytes) bytes"
            )
        }
        let head = [
            "tensor", "elements", "alive", "sent", "positions", "values", "coding", "block", "position B", "scale B",
            "value B", "bytes", "bits/sent",
        ]
        let rows =
            [head]
            + tensors.map {
                [
                    "\($0.index)", "\($0.elements)", "\($0.alive)", "\($0.kept)", $0.positions, $0.values,
                    $0.coding + ($0.rotated ? " rotated" : ""), $0.blockSize.map(String.init) ?? "-",
                    "\($0.positionBytes)", "\($0.scaleBytes)", "\($0.valueBytes)", "\($0.bytes)",
                    Self.rounded(Double($0.bytes) * 8 / Double($0.kept)),
                ]
            }
        let widths = head.indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
        for row in rows where !tensors.isEmpty {
            let cells = zip(row, widths).map { String(repeating: " ", count: $1 - $0.count) + $0 }
            lines.append(cells.joined(separator: "  "))
        }
        return lines.joined(separator: "\n")
    }

    /// What the same would take without any compression.
    public var comparison: String {
        "as float32 the same would take \(float32Bytes) bytes, \(Self.rounded(ratio)) times as many"
    }

    private static func rounded(_ value: Double) -> String { "\((value * 1000).rounded() / 1000)" }
}
