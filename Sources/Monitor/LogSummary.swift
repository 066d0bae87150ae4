import Federation

/// What a log amounts to: rounds, bytes, times, refusals by reason, and each worker's part. Counts what is in the events it
/// was given, so a filter before it narrows it, and an event that was never written is missing here too.
public struct LogSummary: Sendable, Equatable, Encodable {
    /// How often, and how long altogether, at least and at most.
    public struct Times: Sendable, Equatable, Encodable {
        public var count = 0
        public var seconds = 0.0
        public var leastSeconds: Double?
        public var mostSeconds: Double?

        mutating func add(_ seconds: Double?) {
            count += 1
            guard let seconds, seconds.isFinite else { return }
            self.seconds.add(seconds)
            leastSeconds = min(leastSeconds ?? seconds, seconds)
            mostSeconds = max(mostSeconds ?? seconds, seconds)
        }
    }

    public struct Worker: Sendable, Equatable, Encodable {
        public var name: String
        public var accepted = 0
        public var refused = 0
        public var lost = 0
        public var bytes = 0
        /// Its own work, getting inputs, and bringing results.
        public var seconds = 0.0
        public var fetchSeconds = 0.0
        public var uploadSeconds = 0.0
        /// How many rounds told of waiting for it.
        public var waits = 0
        public var loss: Double?

        init(name: String) { self.name = name }
    }

    public var events = 0
    public var unreadableLines = 0
    /// Events that a full disk kept out of the log.
    public var droppedEvents = 0
    public var warnings = 0
    public var errors = 0
    /// Times of the first event and the last.
    public var from: String?
    public var to: String?
    public var starts = 0
    public var finished = false
    /// Closed rounds: all, and those of each task.
    public var rounds = Times()
    public var roundsByTask: [String: Times] = [:]
    public var wireBytesUp = 0
    public var wireBytesDown = 0
    public var rawBytesUp = 0
    public var rawBytesDown = 0
    public var loss: Double?
    public var accuracy: Double?
    public var accepted = 0
    public var refused = 0
    /// Numbers in reasons are written `N` and digests `…`, so that equal reasons count together.
    public var refusalsByReason: [String: Int] = [:]
    public var workers: [Worker] = []
    /// Of the worker's name in `workers`.
    private var places: [String: Int] = [:]
    private var waitedFor: Set<String> = []

    private static let reasonLimit = 50

    private enum CodingKeys: String, CodingKey {
        case events, unreadableLines, droppedEvents, warnings, errors, from, to, starts, finished, rounds, roundsByTask
        case wireBytesUp, wireBytesDown, rawBytesUp, rawBytesDown, loss, accuracy, accepted, refused, refusalsByReason
        case workers
    }

    public init() {}

    public mutating func add(_ entry: LogEntry) {
        switch entry {
        case .malformed: unreadableLines += 1
        case .event(let logged): add(logged)
        }
    }

    private mutating func add(_ logged: LoggedEvent) {
        let event = logged.event
        let facts = EventFacts(event)
        events += 1
        from = min(from ?? logged.time, logged.time)
        to = max(to ?? logged.time, logged.time)
        if event.level == .warning { warnings += 1 }
        if event.level == .error { errors += 1 }
        switch event.name {
        case EventName.runStarted, EventName.runResumed: starts += 1
        case EventName.runFinished: finished = true
        case EventName.roundClosed: close(facts)
        case EventName.roundWaiting: wait(facts)
        case EventName.contributionAccepted: accept(facts, event)
        case EventName.contributionRefused: refuse(facts, event)
        case EventName.workerLost: change(event) { $0.lost += 1 }
        case EventName.workerJoined: change(event) { _ in }
        case EventName.diagnostic: droppedEvents.add(facts.integer("dropped"))
        default: break
        }
    }

    private mutating func close(_ facts: EventFacts) {
        let seconds = facts.double("seconds")
        rounds.add(seconds)
        roundsByTask[facts.word("task"), default: Times()].add(seconds)
        wireBytesUp.add(facts.integer("wireBytesUp"))
        wireBytesDown.add(facts.integer("wireBytesDown"))
        rawBytesUp.add(facts.integer("rawBytesUp"))
        rawBytesDown.add(facts.integer("rawBytesDown"))
        loss = facts.double("loss") ?? loss
        accuracy = facts.double("accuracy") ?? accuracy
    }

    private mutating func wait(_ facts: EventFacts) {
        guard let round = facts.integer("round") else { return }
        for name in facts.strings("missing") ?? [] where waitedFor.insert("\(round) \(name)").inserted {
            change(named: name) { $0.waits += 1 }
        }
    }

    private mutating func accept(_ facts: EventFacts, _ event: LogEvent) {
        accepted += 1
        change(event) { worker in
            worker.accepted += 1
            worker.bytes.add(facts.integer("bytes"))
            worker.seconds.add(facts.double("seconds"))
            worker.fetchSeconds.add(facts.double("fetchSeconds"))
            worker.uploadSeconds.add(facts.double("uploadSeconds"))
            worker.loss = facts.double("loss") ?? worker.loss
        }
    }

    /// A worker's own log tells of refusals without its name; the coordinator's tells of the same ones with it.
    private mutating func refuse(_ facts: EventFacts, _ event: LogEvent) {
        guard case .string = event["worker"] else { return }
        refused += 1
        change(event) { $0.refused += 1 }
        guard case .string(let text)? = event["reason"] else { return }
        let reason = Self.general(text)
        let isKnown = refusalsByReason[reason] != nil || refusalsByReason.count < Self.reasonLimit
        refusalsByReason[isKnown ? reason : "other reasons", default: 0] += 1
    }

    private mutating func change(_ event: LogEvent, _ body: (inout Worker) -> Void) {
        if case .string(let name)? = event["worker"] { change(named: name, body) }
    }

    private mutating func change(named name: String, _ body: (inout Worker) -> Void) {
        let place = places[name] ?? workers.count
        if place == workers.count {
            places[name] = place
            workers.append(Worker(name: name))
        }
        body(&workers[place])
    }

    /// A reason without what differs from one refusal to the next.
    static func general(_ reason: String) -> String {
        String(reason.prefix(300)).replacing(/\b[0-9a-f]{12,64}\b/, with: "…").replacing(
            /[0-9]+(?:\.[0-9]+)?/, with: "N")
    }
}

extension Int {
    /// Saturates: figures in a log may come from anywhere.
    fileprivate mutating func add(_ other: Int?) {
        let (sum, overflow) = addingReportingOverflow(other ?? 0)
        self = overflow ? .max : sum
    }
}

extension Double {
    /// Stays finite.
    fileprivate mutating func add(_ other: Double?) {
        self = min(max(self + (other ?? 0), -.greatestFiniteMagnitude), .greatestFiniteMagnitude)
    }
}
