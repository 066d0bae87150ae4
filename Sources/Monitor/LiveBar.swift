import Federation

/// One line of the live region: a bar, and what it stands for. The label is escaped when it is drawn.
public struct LiveBar: Sendable, Equatable {
    public var label: String
    /// 0 to 1.
    public var fraction: Double
    public var detail: String

    public init(label: String, fraction: Double, detail: String) {
        self.label = label
        self.fraction = fraction
        self.detail = detail
    }

    /// What a worker does, `45 %` or `3.10 of 12.0 MB` of it.
    public init(label: String, task: RunStatus.TaskProgress) {
        var detail = task.doing
        if let bytes = task.bytes, let whole = task.ofBytes, whole > 0 {
            detail += " \(Figures.bytes(bytes)) of \(Figures.bytes(whole))"
        } else if task.doing != "examined" {
            detail += " \(Figures.share(task.fraction))"
        }
        self.init(label: label, fraction: task.fraction, detail: detail)
    }

    /// `[██████░░░░░░] site-b · working 52 %`, cut to `columns`.
    func text(columns: Int) -> String {
        Self.cut(
            "\(Self.bar(fraction)) \(escapedForTerminal(label, limit: 64)) · \(escapedForTerminal(detail))", columns)
    }

    /// `[████░░░░░░░░]`
    static func bar(_ fraction: Double, width: Int = 12) -> String {
        let share = fraction.isFinite ? min(1, max(0, fraction)) : 0
        let filled = Int(share * Double(width))
        return "[\(String(repeating: "█", count: filled))\(String(repeating: "░", count: width - filled))]"
    }

    /// A line that would wrap could not be taken back.
    static func cut(_ text: String, _ columns: Int) -> String {
        guard terminalWidth(text) > columns else { return text }
        var cut = ""
        var width = 1
        for scalar in text.unicodeScalars {
            width += terminalWidth(scalar)
            guard width <= columns else { break }
            cut.unicodeScalars.append(scalar)
        }
        return cut + "…"
    }
}

extension RunStatus {
    /// A bar for each worker that is at work, in the order of their names.
    public var liveBars: [LiveBar] {
        workers.compactMap { worker in worker.task.map { LiveBar(label: worker.name, task: $0) } }
    }
}
