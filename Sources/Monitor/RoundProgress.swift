import Federation
import Foundation

/// What the progress line shows: kept up to date from the events alone.
struct RoundProgress: Sendable {
    private(set) var stages: Int?
    /// Rounds of the whole plan.
    private(set) var rounds: Int?
    private var open: Open?

    private struct Open: Sendable {
        var round: Int
        var stage: Int?
        var kind: String
        var task: String
        var workers: Int
        var contributions = 0
        var missing: [String] = []
        var openedAt: Date

        func ordinal(of rounds: Int?) -> String {
            rounds.map { " (\(round.addingReportingOverflow(1).partialValue) of \($0))" } ?? ""
        }
    }

    mutating func follow(_ event: LogEvent, at time: Date) {
        let facts = EventFacts(event)
        switch event.name {
        case EventName.runStarted, EventName.runResumed:
            stages = facts.integer("stages")
            rounds = facts.integer("roundsPlanned")
            open = nil
        case EventName.stageStarted: stages = facts.integer("stages") ?? stages
        case EventName.roundOpened:
            open = Open(
                round: facts.integer("round") ?? 0, stage: facts.integer("stage"),
                kind: facts.word("kind", default: ""),
                task: facts.word("task", default: ""), workers: max(1, facts.integer("workers") ?? 1), openedAt: time)
        case EventName.taskAssigned:
            guard let worker = facts.text("worker"), open?.missing.contains(worker) == false else { return }
            open?.missing.append(worker)
        case EventName.contributionAccepted:
            open?.contributions += 1
            open?.missing.removeAll { $0 == facts.text("worker") }
        case EventName.contributionRefused, EventName.workerLost, EventName.workerLeft:
            open?.missing.removeAll { $0 == facts.text("worker") }
        case EventName.roundWaiting:
            if let count = facts.integer("contributions") { open?.contributions = count }
            if let names = facts.strings("missing") { open?.missing = names.map { escapedForTerminal($0) } }
            // A coordinator that resumed opened this round before its events reached us.
            if let age = facts.double("ageSeconds"), age.isFinite { open?.openedAt = time.addingTimeInterval(-age) }
        case EventName.roundClosed, EventName.runFinished, EventName.runFailed, EventName.runStopped: open = nil
        default: break
        }
    }

    /// `[████░░] 2/3 · stage 2/5 prune · round 7 (8 of 22) train · waiting for worker-3 · 4 s`, cut to `columns`; nil between
    /// rounds.
    func text(at time: Date, columns: Int) -> String? {
        guard let open else { return nil }
        let width = 12
        let filled = min(width, max(0, open.contributions) * width / open.workers)
        let bar = String(repeating: "█", count: filled) + String(repeating: "░", count: width - filled)
        var parts = ["[\(bar)] \(open.contributions)/\(open.workers)"]
        if let stage = open.stage {
            parts.append("stage \(stage.addingReportingOverflow(1).partialValue)\(of(stages)) \(open.kind)")
        }
        parts.append("round \(open.round)\(open.ordinal(of: rounds)) \(open.task)")
        if !open.missing.isEmpty {
            let more = open.missing.count > 3 ? " and \(open.missing.count - 3) more" : ""
            parts.append("waiting for \(open.missing.prefix(3).joined(separator: ", "))\(more)")
        }
        let elapsed = max(0, time.timeIntervalSince(open.openedAt))
        parts.append(elapsed < 60 ? "\(Int(elapsed)) s" : Figures.seconds(elapsed))
        return Self.cut(parts.joined(separator: " · "), to: columns)
    }

    private func of(_ count: Int?) -> String { count.map { "/\($0)" } ?? "" }

    private static func cut(_ text: String, to columns: Int) -> String {
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
