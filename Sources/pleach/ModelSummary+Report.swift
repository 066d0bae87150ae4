import ModelGraph
import Monitor

extension ModelSummary {
    /// The summary for a terminal of 100 columns. Names come from the file, so what a terminal would obey is escaped.
    var report: [String] {
        var lines = lines
        lines += row("file", external ? "\(bytes) bytes with external data" : "\(bytes) bytes, all in one file")
        lines += row("trainable", text(trainable))
        lines += row("statistics", text(statistics))
        lines += row("prunable", text(prunable))
        if let memory = activationBytes {
            let size = batch == 1 ? "one sample" : "a batch of \(batch)"
            lines += row(
                "activations",
                "\(memory.peak) bytes at the peak of a forward pass of \(size), \(memory.training) kept for training")
        }
        lines += groups("stays float", notQuantizable, none: "nothing: integer kernels run all of it")
        lines += groups("cannot run", unsupportedOperators, none: "nothing: the engine knows every operator")
        for sentence in missing { lines += row("missing", sentence) }
        lines.append("")
        return lines + tensors
    }

    private func text(_ list: TensorList) -> String { "\(list.elements) in \(list.tensors.count) tensors" }

    private func groups(_ label: String, _ groups: [NodeGroup], none: String) -> [String] {
        guard !groups.isEmpty else { return row(label, none) }
        return groups.enumerated().flatMap { index, group in
            row(index == 0 ? label : "", "\(group.operator) (\(group.nodes.count)): \(group.reason)")
        }
    }

    /// Each parameter with its shape and what may be done with it.
    private var tensors: [String] {
        let prunable = Set(self.prunable.tensors.map(\.name))
        let rows =
            trainable.tensors.map { ($0, prunable.contains($0.name) ? "trainable, prunable" : "trainable") }
            + statistics.tensors.map { ($0, "statistic") }
        let names = rows.map { escapedForTerminal($0.0.name, limit: Self.nameWidth) }
        let width = names.map(\.count).max() ?? 0
        return zip(names, rows).map { name, row in
            let shape = row.0.shape.map(String.init).joined(separator: " x ")
            return name.padded(to: width) + "  " + shape.padded(to: 20) + "  " + row.1
        }
    }

    /// Longer names are cut, so that shape and kind still fit.
    private static let nameWidth = 54

    /// A label and its text, broken between words where it is too long for the terminal.
    private func row(_ label: String, _ text: String) -> [String] {
        let (labelWidth, width) = (20, 80)
        var rows: [String] = []
        var current = ""
        for word in escapedForTerminal(text, limit: .max).split(separator: " ") {
            if !current.isEmpty, current.count + 1 + word.count > width {
                rows.append(current)
                current = ""
            }
            current += (current.isEmpty ? "" : " ") + word
        }
        rows.append(current)
        return rows.enumerated().map { index, text in (index == 0 ? label : "").padded(to: labelWidth) + text }
    }
}

extension String {
    fileprivate func padded(to width: Int) -> String { self + String(repeating: " ", count: max(0, width - count)) }
}
