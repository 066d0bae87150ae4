import Federation

/// An event's fields as people read them: each accessor gives nil when the field is missing or of another type.
struct EventFacts {
    private let event: LogEvent

    init(_ event: LogEvent) { self.event = event }

    static func text(of value: LogValue) -> String {
        switch value {
        case .string(let text): text
        case .int(let number): String(number)
        case .double(let number): Figures.number(number)
        case .bool(let flag): flag ? "yes" : "no"
        case .strings(let texts): texts.joined(separator: ", ")
        case .numbers(let numbers): numbers.map { $0.map(Figures.number) ?? "?" }.joined(separator: ", ")
        }
    }

    /// Any field as escaped text.
    func text(_ key: String) -> String? { event[key].map { escapedForTerminal(Self.text(of: $0)) } }

    func word(_ key: String, default missing: String = "?") -> String { text(key) ?? missing }

    var worker: String { text("worker") ?? "this worker" }
    var masked: String? { double("sparsity").flatMap { $0 > 0 ? "\(Figures.percent($0)) masked" : nil } }

    /// An integer, or how many strings a list holds.
    func integer(_ key: String) -> Int? {
        switch event[key] {
        case .int(let number): number
        case .strings(let texts): texts.count
        default: nil
        }
    }

    func double(_ key: String) -> Double? {
        switch event[key] {
        case .double(let number): number
        case .int(let number): Double(number)
        default: nil
        }
    }

    func numbers(_ key: String) -> [Double?]? { if case .numbers(let numbers)? = event[key] { numbers } else { nil } }

    func strings(_ key: String) -> [String]? { if case .strings(let texts)? = event[key] { texts } else { nil } }

    func count(_ key: String) -> String? { integer(key).map(Figures.count) }
    /// "1 round", "2 rounds".
    func counted(_ key: String, _ one: String, _ several: String? = nil) -> String? {
        integer(key).map { Figures.counted($0, one, several) }
    }
    func bytes(_ key: String) -> String? { integer(key).map(Figures.bytes) }
    func seconds(_ key: String) -> String? { double(key).map(Figures.seconds) }
    func percent(_ key: String) -> String? { double(key).map(Figures.percent) }
    func factor(_ key: String) -> String? { double(key).map(Figures.factor) }
    func number(_ key: String) -> String? { double(key).map(Figures.number) }

    /// `2/5 ` for a zero-based index.
    func place(_ key: String, of count: Int?) -> String {
        integer(key).map { "\($0.addingReportingOverflow(1).partialValue)\(count.map { "/\($0)" } ?? "") " } ?? ""
    }

    /// ` (8 of 22)` for the zero-based number 7; empty when the whole is not known. Rounds keep their number beside it,
    /// because errors and logs name them by it.
    func ordinal(_ key: String, of count: Int?) -> String {
        // A stage that makes its file again has more rounds than were planned.
        guard let number = integer(key), let count, number < count else { return "" }
        return " (\(number.addingReportingOverflow(1).partialValue) of \(count))"
    }

    func joined(_ parts: String?...) -> String { parts.compactMap { $0 }.joined(separator: " · ") }
}
