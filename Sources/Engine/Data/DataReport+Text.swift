/// The report as lines of at most 100 columns, but for names and paths that are longer.
extension DataReport {
    /// Classes shown one by one; JSON holds all of them.
    static let shownClasses = 50
    /// Shards shown beside one another.
    static let shownShards = 10

    public var lines: [String] {
        var lines = [
            Self.row("data", spec), Self.row("split", split), Self.row("samples", "\(samples)"),
        ]
        for input in inputs { lines.append(Self.row("input", "\(input.name) \(input.type) \(input.sampleShape)")) }
        switch targets {
        case "classes": lines.append(Self.row("targets", "\(classes) classes"))
        case "tokens": lines.append(Self.row("targets", "tokens of \(classes), one for each position"))
        default: lines.append(Self.row("targets", "values \(targetShape)"))
        }
        lines.append(Self.row("damaged", "\(damage.damaged) of \(damage.visited) samples read"))
        for sample in damage.examples { lines.append(Self.row("", "\(sample.name): \(sample.reason)")) }
        if damage.damaged * DamageReport.tolerance > damage.visited {
            lines.append(Self.row("", "training would refuse this: more than 1 % of the samples read are damaged"))
        }
        return lines + valueLines + classLines
    }

    private var valueLines: [String] {
        guard !values.isEmpty else { return [] }
        var lines = ["", "values as a model gets them".right(34) + Self.heads(["least", "most", "mean", "std"], 12)]
        for value in values {
            let name = value.channel.map { "\(value.input) channel \($0)" } ?? value.input
            let figures = [value.minimum, value.maximum, value.mean, value.std].map(Self.figure)
            lines.append(name.right(34) + Self.heads(figures, 12))
        }
        return lines
    }

    /// A row for each class, a column for each shard; blocks of ten shards below one another.
    private var classLines: [String] {
        var lines: [String] = []
        let blocks = stride(from: 0, to: max(1, shards.count), by: Self.shownShards).map {
            shards[$0..<min(shards.count, $0 + Self.shownShards)]
        }
        for (number, block) in blocks.enumerated() where !histogram.isEmpty || !block.isEmpty {
            lines.append("")
            let all = number == 0
            lines.append(
                "class".right(20) + (all ? Self.heads(["all"], 8) : "")
                    + Self.heads(block.map { "\($0.index)/\(shards.count)" }, 7))
            for label in histogram.indices.prefix(Self.shownClasses) {
                let name = classNames.isEmpty ? "\(label)" : "\(label) \(classNames[label])"
                lines.append(
                    name.right(20) + (all ? Self.heads(["\(histogram[label])"], 8) : "")
                        + Self.heads(block.map { "\($0.histogram[label])" }, 7))
            }
            if histogram.count > Self.shownClasses {
                lines.append("(\(histogram.count - Self.shownClasses) more classes; --json shows all)")
            }
            lines.append(
                "samples".right(20) + (all ? Self.heads(["\(samples)"], 8) : "")
                    + Self.heads(block.map { "\($0.samples)" }, 7))
        }
        return lines
    }

    private static func row(_ name: String, _ value: String) -> String { name.right(10) + value }

    private static func heads(_ words: [String], _ width: Int) -> String { words.map { $0.left(width) }.joined() }

    /// Four significant digits or so.
    private static func figure(_ value: Double) -> String {
        guard abs(value) < 1e6, value != 0 else { return DataSpec.number(value) }
        let scale: Double = abs(value) < 1 ? 10_000 : 1_000
        return DataSpec.number((value * scale).rounded() / scale)
    }
}

extension String {
    /// Followed by spaces up to a width, and by at least one.
    fileprivate func right(_ width: Int) -> String { self + String(repeating: " ", count: Swift.max(1, width - count)) }

    /// Preceded by spaces up to a width, and by at least one.
    fileprivate func left(_ width: Int) -> String { String(repeating: " ", count: Swift.max(1, width - count)) + self }
}
