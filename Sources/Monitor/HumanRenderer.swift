import Federation
import Foundation

/// Draws events for people: a line for each that matters, and on a terminal a live region below them, redrawn in place:
/// a bar for the run, one for the open round, one for each task or transfer. A value: what it returns is to be written to
/// the terminal as it is.
public struct HumanRenderer: Sendable {
    public struct Style: Sendable, Equatable {
        /// Redraws in place; otherwise whole lines only.
        public var isLive: Bool
        public var hasColours: Bool
        public var columns: Int
        /// Of the terminal; the live region takes at most half of them.
        public var rows: Int
        /// Lists every event, also those that only move the live region.
        public var showsEverything: Bool
        /// Events below this level have no line.
        public var minimumLevel: LogLevel
        /// For the journal: each line begins with its priority, and has no time, for the journal has its own.
        public var isForJournal: Bool

        public init(
            isLive: Bool, hasColours: Bool, columns: Int = 80, rows: Int = 24, showsEverything: Bool = false,
            minimumLevel: LogLevel = .debug, isForJournal: Bool = false
        ) {
            self.isLive = isLive
            self.hasColours = hasColours
            self.columns = columns
            self.rows = rows
            self.showsEverything = showsEverything
            self.minimumLevel = minimumLevel
            self.isForJournal = isForJournal
        }
    }

    public var style: Style
    private var progress = RoundProgress()
    private var bars: [LiveBar] = []
    /// Lines of the live region that stand on the terminal.
    private var drawnLines = 0
    private var lastWaiting: String?

    public init(style: Style) { self.style = style }

    /// What to write for one event; empty when it changes nothing that shows.
    public mutating func render(_ event: LogEvent, at time: Date = Date()) -> String {
        progress.follow(event, at: time)
        if !progress.isUnderWay(after: event) { bars = [] }
        guard style.isLive else { return line(for: event, clock: EventTime.clock(time)) ?? "" }
        return erased() + (line(for: event, clock: EventTime.clock(time)) ?? "") + drawnRegion(at: time)
    }

    /// An event that was read back from a log, with its own time (`LoggedEvent.time`).
    public mutating func render(_ logged: LoggedEvent) -> String {
        line(for: logged.event, clock: escapedForTerminal(String(logged.time.dropFirst(11).prefix(8)), limit: 8)) ?? ""
    }

    /// Draws the live region anew, for the time that passed.
    public mutating func redraw(at time: Date = Date()) -> String {
        style.isLive ? erased() + drawnRegion(at: time) : ""
    }

    /// What is under way besides the round, for the next time the live region is drawn.
    public mutating func take(_ bars: [LiveBar]) { self.bars = bars }

    /// Takes the live region away for something else to be written; `redraw` brings it back.
    public mutating func interrupt() -> String { erased() }

    /// Takes the live region away.
    public mutating func finish() -> String {
        progress = RoundProgress()
        bars = []
        return erased()
    }

    private mutating func erased() -> String {
        guard drawnLines > 0 else { return "" }
        let above = String(repeating: "\u{1B}[1A\u{1B}[2K", count: drawnLines - 1)
        drawnLines = 0
        return "\r\u{1B}[2K\(above)"
    }

    private mutating func drawnRegion(at time: Date) -> String {
        let columns = max(20, style.columns - 1)
        var lines = progress.lines(at: time, columns: columns)
        let room = max(0, style.rows / 2 - lines.count)
        // The last line of those that fit says how many do not.
        let shown = bars.count <= room ? bars.count : max(0, room - 1)
        lines += bars.prefix(shown).map { $0.text(columns: columns) }
        if bars.count > shown, room > 0 { lines.append("and \(bars.count - shown) more") }
        drawnLines = lines.count
        return lines.map { painted($0, "36") }.joined(separator: "\n")
    }

    private mutating func line(for event: LogEvent, clock: String) -> String? {
        guard event.level >= style.minimumLevel else { return nil }
        if event.name == EventName.roundWaiting || event.name == EventName.runWaiting,
            !style.isLive || style.showsEverything
        {
            return waitingLine(event, clock: clock)
        }
        var sentence = EventSentence.of(event, stages: progress.stages, rounds: progress.rounds)
        if sentence == nil, style.showsEverything { sentence = EventSentence(listing: event) }
        guard let sentence else { return nil }
        let colour =
            switch sentence.mark {
            case .failure: "31"
            case .warning, .minus: "33"
            case .done, .plus: "32"
            case .start: "1"
            case .plain: "0"
            }
        return start(event.level, clock) + painted("\(sentence.mark.rawValue) \(sentence.text)", colour) + "\n"
    }

    /// Where nothing can be redrawn, the same wait is told once, not at every tick.
    private mutating func waitingLine(_ event: LogEvent, clock: String) -> String? {
        let facts = EventFacts(event)
        let state = facts.joined(
            facts.text("round"), facts.text("contributions"), facts.text("missing"), facts.text("reason"))
        guard style.showsEverything || state != lastWaiting else { return nil }
        lastWaiting = state
        return start(event.level, clock) + painted("… \(EventSentence.waiting(event))", "33") + "\n"
    }

    /// The time, or what the journal wants instead.
    private func start(_ level: LogLevel, _ clock: String) -> String {
        style.isForJournal ? JournalStream.prefix(level) : painted(clock, "2") + " "
    }

    private func painted(_ text: String, _ code: String) -> String {
        style.hasColours && code != "0" ? "\u{1B}[\(code)m\(text)\u{1B}[0m" : text
    }
}
