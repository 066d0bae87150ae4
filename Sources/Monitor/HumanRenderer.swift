import Federation
import Foundation

/// Draws events for people: a line for each that matters, and on a terminal one more line, redrawn in place, that shows
/// the open round. A value: what it returns is to be written to the terminal as it is.
public struct HumanRenderer: Sendable {
    public struct Style: Sendable, Equatable {
        /// Redraws in place; otherwise whole lines only.
        public var isLive: Bool
        public var hasColours: Bool
        public var columns: Int
        /// Lists every event, also those that only move the progress line.
        public var showsEverything: Bool

        public init(isLive: Bool, hasColours: Bool, columns: Int = 80, showsEverything: Bool = false) {
            self.isLive = isLive
            self.hasColours = hasColours
            self.columns = columns
            self.showsEverything = showsEverything
        }
    }

    public var style: Style
    private var progress = RoundProgress()
    private var isProgressDrawn = false
    private var lastWaiting: String?

    public init(style: Style) { self.style = style }

    /// What to write for one event; empty when it changes nothing that shows.
    public mutating func render(_ event: LogEvent, at time: Date = Date()) -> String {
        progress.follow(event, at: time)
        guard style.isLive else { return line(for: event, clock: EventTime.clock(time)) ?? "" }
        return erased() + (line(for: event, clock: EventTime.clock(time)) ?? "") + drawnProgress(at: time)
    }

    /// An event that was read back from a log, with its own time (`LoggedEvent.time`).
    public mutating func render(_ logged: LoggedEvent) -> String {
        line(for: logged.event, clock: escapedForTerminal(String(logged.time.dropFirst(11).prefix(8)), limit: 8)) ?? ""
    }

    /// Draws the progress line anew, for the time that passed.
    public mutating func redraw(at time: Date = Date()) -> String {
        isProgressDrawn ? erased() + drawnProgress(at: time) : ""
    }

    /// Takes the progress line away.
    public mutating func finish() -> String {
        progress = RoundProgress()
        return erased()
    }

    private mutating func erased() -> String {
        defer { isProgressDrawn = false }
        return isProgressDrawn ? "\r\u{1B}[2K" : ""
    }

    private mutating func drawnProgress(at time: Date) -> String {
        guard let text = progress.text(at: time, columns: max(20, style.columns - 1)) else { return "" }
        isProgressDrawn = true
        return painted(text, "36")
    }

    private mutating func line(for event: LogEvent, clock: String) -> String? {
        if event.name == EventName.roundWaiting || event.name == EventName.runWaiting, !style.isLive || style.showsEverything {
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
        return "\(painted(clock, "2")) \(painted("\(sentence.mark.rawValue) \(sentence.text)", colour))\n"
    }

    /// Where nothing can be redrawn, the same wait is told once, not at every tick.
    private mutating func waitingLine(_ event: LogEvent, clock: String) -> String? {
        let facts = EventFacts(event)
        let state = facts.joined(
            facts.text("round"), facts.text("contributions"), facts.text("missing"), facts.text("reason"))
        guard style.showsEverything || state != lastWaiting else { return nil }
        lastWaiting = state
        return "\(painted(clock, "2")) \(painted("… \(EventSentence.waiting(event))", "33"))\n"
    }

    private func painted(_ text: String, _ code: String) -> String {
        style.hasColours && code != "0" ? "\u{1B}[\(code)m\(text)\u{1B}[0m" : text
    }
}
