import Federation
import Foundation

/// What the live region says of run and round: kept up to date from the events alone.
struct RoundProgress: Sendable {
    private(set) var stages: Int?
    /// Rounds of the whole plan.
    private(set) var rounds: Int?
    private var closed = 0
    private var stage: (index: Int, kind: String)?
    /// What the coordinator does alone.
    private var ownWork: String?
    private var open: Open?

    private struct Open: Sendable {
        var round: Int
        var task: String
        var workers: Int
        var quorum: Int?
        var deadlineSeconds: Double?
        var contributions = 0
        /// Names, and how they are shown.
        var missing: [(name: String, shown: String)] = []
        var openedAt: Date

        /// Empty beyond the plan's rounds: a stage that makes its file again has more.
        func ordinal(of rounds: Int?) -> String {
            rounds.flatMap { round < $0 ? " (\(round.addingReportingOverflow(1).partialValue) of \($0))" : nil } ?? ""
        }
    }

    mutating func follow(_ event: LogEvent, at time: Date) {
        let facts = EventFacts(event)
        switch event.name {
        case EventName.runStarted, EventName.runResumed:
            self = RoundProgress()
            stages = facts.integer("stages")
            rounds = facts.integer("roundsPlanned")
            closed = facts.integer("roundsCompleted") ?? 0
        case EventName.stageStarted:
            stages = facts.integer("stages") ?? stages
            enter(facts)
        case EventName.roundOpened:
            enter(facts)
            ownWork = nil
            open = Open(
                round: facts.integer("round") ?? 0, task: facts.word("task", default: ""),
                workers: max(1, facts.integer("workers") ?? 1), quorum: facts.integer("quorum"),
                deadlineSeconds: facts.double("deadlineSeconds"), openedAt: time)
        case EventName.taskAssigned:
            guard let worker = facts.text("worker"), open?.missing.contains(where: { $0.name == worker }) == false
            else { return }
            open?.missing.append((worker, worker))
        case EventName.contributionAccepted:
            open?.contributions += 1
            open?.missing.removeAll { $0.name == facts.text("worker") }
        case EventName.contributionRefused, EventName.workerLost, EventName.workerLeft:
            open?.missing.removeAll { $0.name == facts.text("worker") }
        case EventName.roundWaiting: followWait(facts, at: time)
        case EventName.runWaiting: ownWork = facts.text("reason")
        case EventName.roundClosed:
            (open, ownWork) = (nil, nil)
            closed = facts.integer("round").map { max(closed, $0.addingReportingOverflow(1).partialValue) } ?? closed
        case EventName.runFinished, EventName.runFailed, EventName.runStopped: self = RoundProgress()
        default: break
        }
    }

    /// Whether something may still be under way after an event; the end of a run ends all of it.
    func isUnderWay(after event: LogEvent) -> Bool {
        ![EventName.runFinished, EventName.runFailed, EventName.runStopped].contains(event.name)
    }

    private mutating func enter(_ facts: EventFacts) {
        if let index = facts.integer("stage") { stage = (index, facts.word("kind", default: "")) }
    }

    private mutating func followWait(_ facts: EventFacts, at time: Date) {
        if let count = facts.integer("contributions") { open?.contributions = count }
        if let names = facts.strings("missing") {
            let shown = EventSentence.missing(facts, limit: .max)
            open?.missing = Array(zip(names.map { escapedForTerminal($0) }, shown))
        }
        // A coordinator that resumed opened this round before its events reached us.
        if let age = facts.double("ageSeconds"), age.isFinite { open?.openedAt = time.addingTimeInterval(-age) }
    }

    /// The lines of run and round, each cut to `columns`.
    func lines(at time: Date, columns: Int) -> [String] {
        [runLine, roundLine(at: time)].compactMap { $0.map { LiveBar.cut($0, columns) } }
    }

    /// `[████░░░░░░░░] 7 of 22 rounds · stage 2/5 prune`; nil while the plan's rounds are unknown.
    private var runLine: String? {
        guard let planned = rounds, planned > 0 else { return nil }
        // A guard that tries again makes it more than were planned.
        let rounds = max(planned, open == nil ? closed : closed.addingReportingOverflow(1).partialValue)
        var parts = ["\(LiveBar.bar(Double(closed) / Double(rounds))) \(closed) of \(rounds) rounds"]
        if let stage {
            let number = stage.index.addingReportingOverflow(1).partialValue
            parts.append("stage \(number)\(stages.map { "/\($0)" } ?? "") \(stage.kind)")
        }
        if let ownWork { parts.append(ownWork) }
        return parts.joined(separator: " · ")
    }

    /// `[████████░░░░] 2/3 · round 7 (8 of 22) train · quorum 2 · waiting for worker-3 · 4 s of 60 s`; nil between rounds.
    private func roundLine(at time: Date) -> String? {
        guard let open else { return nil }
        let bar = LiveBar.bar(Double(open.contributions) / Double(open.workers))
        var parts = ["\(bar) \(open.contributions)/\(open.workers)"]
        parts.append("round \(open.round)\(open.ordinal(of: rounds)) \(open.task)")
        if let quorum = open.quorum { parts.append("quorum \(quorum)") }
        if !open.missing.isEmpty {
            let more = open.missing.count > 3 ? " and \(open.missing.count - 3) more" : ""
            parts.append("waiting for \(open.missing.prefix(3).map(\.shown).joined(separator: ", "))\(more)")
        }
        let elapsed = max(0, time.timeIntervalSince(open.openedAt))
        parts.append(Self.whole(elapsed) + (open.deadlineSeconds.map { " of \(Self.whole($0))" } ?? ""))
        return parts.joined(separator: " · ")
    }

    /// A second is the smallest step of a line that is redrawn each second.
    private static func whole(_ seconds: Double) -> String {
        seconds.isFinite && abs(seconds) < 100 ? "\(Int(seconds)) s" : Figures.seconds(seconds)
    }
}
