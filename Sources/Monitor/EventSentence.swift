import Federation

/// What an event says to people, in one line without time or colour. Every text from a field is escaped.
struct EventSentence: Equatable {
    enum Mark: String {
        case start = "▶"
        case plus = "+"
        case minus = "-"
        case done = "✓"
        case failure = "✗"
        case warning = "!"
        case plain = " "
    }

    var mark: Mark
    var text: String

    private init(_ mark: Mark, _ text: String) {
        self.mark = mark
        self.text = text
    }

    /// Any event as its name and fields.
    init(listing event: LogEvent) {
        let parts = [event.name] + event.fields.map { "\($0.key)=\(EventFacts.text(of: $0.value))" }
        self.init(
            event.level >= .warning ? .warning : .plain, parts.map { escapedForTerminal($0) }.joined(separator: " "))
    }

    /// The sentence, or nil for an event that only moves the live region.
    /// - Parameters:
    ///   - stages: how many the plan has, when known.
    ///   - rounds: how many the plan has, when known.
    static func of(_ event: LogEvent, stages: Int?, rounds: Int?) -> EventSentence? {
        let facts = EventFacts(event)
        let reason = facts.text("reason") ?? "no reason given"
        switch event.name {
        case EventName.runStarted, EventName.runResumed: return run(event.name, facts)
        case EventName.runFinished: return runFinished(facts)
        case EventName.runStopped: return EventSentence(.plain, "run stopped: \(reason)")
        case EventName.runFailed: return EventSentence(.failure, "run failed: \(reason)")
        case EventName.workerJoined, EventName.workerLeft, EventName.workerLost, EventName.workerRefused:
            return worker(event.name, facts, reason)
        case EventName.stageStarted, EventName.stageFinished: return stage(event.name, facts, stages)
        case EventName.roundClosed: return roundClosed(facts, rounds)
        case EventName.contributionRefused:
            return EventSentence(
                .warning, "\(facts.worker)'s contribution to round \(facts.word("round")) was refused: \(reason)")
        case EventName.maskDecided:
            return EventSentence(.plain, maskDecided(facts))
        case EventName.layersFactorized: return layersFactorized(facts)
        case EventName.layersQuantized: return layersQuantized(facts)
        case EventName.exportFinished:
            return EventSentence(
                .done, facts.joined("wrote \(facts.word("path"))", facts.bytes("bytes"), facts.text("target")))
        case EventName.taskFinished: return taskFinished(facts)
        case EventName.diagnostic where event.level >= .warning:
            let text = [facts.text("worker"), facts.text("message")].compactMap { $0 }.joined(separator: ": ")
            return EventSentence(.warning, text)
        default: return event.level >= .warning ? EventSentence(listing: event) : nil
        }
    }

    /// What the open round waits for.
    static func waiting(_ event: LogEvent) -> String {
        let facts = EventFacts(event)
        guard event.name == EventName.roundWaiting else {
            return facts.joined(facts.text("reason"), facts.seconds("ageSeconds"))
        }
        let missing = missing(facts)
        return facts.joined(
            "round \(facts.word("round")) waits", facts.text("reason"),
            "\(facts.word("contributions")) of \(facts.word("workers"))", facts.count("quorum").map { "quorum \($0)" },
            missing.isEmpty ? nil : "missing \(missing.joined(separator: ", "))",
            facts.seconds("ageSeconds").map { "\($0) of \(facts.seconds("deadlineSeconds") ?? "?")" })
    }

    /// Names with their last sign of life: `site-b (heard 12.0 s ago)`; of many only the first.
    static func missing(_ facts: EventFacts, limit: Int = 20) -> [String] {
        guard let names = facts.strings("missing") else { return [] }
        let seconds = facts.numbers("missingSeconds") ?? []
        let shown = names.prefix(limit).enumerated().map { index, name in
            let name = escapedForTerminal(name, limit: 64)
            guard index < seconds.count else { return name }
            return "\(name) (\(seconds[index].map { "heard \(Figures.seconds($0)) ago" } ?? "not heard of yet"))"
        }
        return names.count > limit ? shown + ["and \(names.count - limit) more"] : shown
    }

    private static func run(_ name: String, _ facts: EventFacts) -> EventSentence {
        let isResumed = name == EventName.runResumed
        let done = facts.count("roundsCompleted").map { "after \($0) of \(facts.count("roundsPlanned") ?? "?") rounds" }
        return EventSentence(
            .start,
            facts.joined(
                "run \(facts.word("run"))\(isResumed ? " goes on" : "")", isResumed ? done : nil,
                facts.text("plan").map { "plan \($0)" }, facts.text("stages").map { "stages \($0)" },
                facts.counted("workers", "worker"), facts.text("model"),
                facts.counted("parameters", "parameter")))
    }

    private static func runFinished(_ facts: EventFacts) -> EventSentence {
        EventSentence(
            .done,
            facts.joined(
                "run finished", facts.counted("rounds", "round"), facts.seconds("seconds"),
                facts.percent("accuracyAfter").map { "accuracy \($0)" }, facts.bytes("bytesAfter"),
                facts.factor("ratio").map { "\($0) fewer bytes on the wire" }))
    }

    private static func worker(_ name: String, _ facts: EventFacts, _ reason: String) -> EventSentence {
        switch name {
        case EventName.workerJoined:
            EventSentence(
                .plus,
                facts.joined(
                    "\(facts.worker) joined", facts.counted("samples", "sample"),
                    facts.counted("classes", "class", "classes"), facts.counted("threads", "thread")))
        case EventName.workerLeft: EventSentence(.minus, "\(facts.worker) left: \(reason)")
        case EventName.workerLost: EventSentence(.minus, "\(facts.worker) is lost: \(reason)")
        default:
            EventSentence(
                .warning,
                "\(facts.text("worker") ?? facts.text("address").map { "a worker at \($0)" } ?? "a worker") "
                    + "was turned away: \(reason)")
        }
    }

    private static func stage(_ name: String, _ facts: EventFacts, _ stages: Int?) -> EventSentence {
        let place = "stage \(facts.place("stage", of: stages))\(facts.word("kind"))"
        guard name == EventName.stageFinished else { return EventSentence(.plain, place) }
        return EventSentence(
            .done,
            facts.joined(
                "\(place) finished", facts.counted("rounds", "round"), facts.seconds("seconds"),
                facts.percent("accuracy").map { "accuracy \($0)" }, facts.masked))
    }

    private static func maskDecided(_ facts: EventFacts) -> String {
        let unit = facts.text("granularity").map { $0 == "layer" ? "residual block" : $0 } ?? "channel"
        return facts.joined(
            "mask \(facts.word("epoch")) decided", facts.text("criterion").map { "by \($0)" },
            facts.count("removed").map { "\($0) of \(facts.counted("units", unit) ?? "?") removed" }, facts.masked,
            facts.count("removed").flatMap { _ in facts.counted("parameters", "parameter").map { "\($0) left" } },
            facts.number("signalToNoise").map { "median signal-to-noise \($0)" })
    }

    private static func layersFactorized(_ facts: EventFacts) -> EventSentence {
        guard facts.integer("layers") != 0 else {
            return EventSentence(.warning, "no layer was factorized: no rank that keeps enough saves anything")
        }
        return EventSentence(
            .plain,
            facts.joined(
                "\(facts.counted("layers", "layer") ?? "layers") factorized",
                facts.counted("parametersBefore", "parameter").map { "\($0) before" },
                facts.counted("parameters", "parameter").map { "\($0) left" },
                facts.count("masked").map { "\($0) with masks stay" }))
    }

    private static func layersQuantized(_ facts: EventFacts) -> EventSentence {
        let given = facts.count("givenUp").map { "\($0) given up" }
        guard facts.integer("layers") != 0 else {
            return EventSentence(.warning, facts.joined("no weight is quantized", given, facts.text("remarks")))
        }
        return EventSentence(
            facts.integer("remarks") == nil ? .plain : .warning,
            facts.joined(
                "\(facts.counted("layers", "weight") ?? "weights") quantized for \(facts.word("target"))",
                facts.number("averageBits").map { "\($0) bits" },
                facts.percent("integerShare").map { "\($0) of the MACs in integers" },
                facts.counted("floatNodes", "node").map { "\($0) in float" }, given, facts.text("remarks")))
    }

    private static func roundClosed(_ facts: EventFacts, _ rounds: Int?) -> EventSentence {
        EventSentence(
            .plain,
            facts.joined(
                "round \(facts.word("round"))\(facts.ordinal("round", of: rounds)) \(facts.word("task"))",
                facts.counted("contributions", "contribution"), facts.number("loss").map { "loss \($0)" },
                facts.percent("accuracy").map { "accuracy \($0)" }, facts.bytes("wireBytesUp").map { "up \($0)" },
                facts.bytes("wireBytesDown").map { "down \($0)" },
                facts.factor("ratio").map { "\($0) under float32" }, facts.seconds("seconds")))
    }

    private static func taskFinished(_ facts: EventFacts) -> EventSentence {
        let task = "\(facts.word("task", default: "task")) of round \(facts.word("round"))"
        if let error = facts.text("error") { return EventSentence(.failure, "\(task) failed: \(error)") }
        return EventSentence(
            .plain,
            facts.joined(
                "\(task) done", facts.number("loss").map { "loss \($0)" }, facts.bytes("bytes"),
                facts.seconds("seconds")))
    }
}
