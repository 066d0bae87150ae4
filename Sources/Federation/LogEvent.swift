/// A value of one field of a log event.
public enum LogValue: Sendable, Equatable {
    case string(String)
    case int(Int)
    case double(Double)
    case bool(Bool)
    case strings([String])
    /// Numbers beside a list of names; nil where one is not known.
    case numbers([Double?])
}

public enum LogLevel: String, Sendable, Equatable, CaseIterable, Comparable {
    case debug, info, warning, error

    public static func < (a: LogLevel, b: LogLevel) -> Bool { a.rank < b.rank }
    private var rank: Int {
        switch self {
        case .debug: 0
        case .info: 1
        case .warning: 2
        case .error: 3
        }
    }
}

/// One thing that happened in a run, with a stable name and stable fields (`protocols/log-events.md`).
///
/// Events carry no time: machines have no clock. Whoever writes them adds it.
public struct LogEvent: Sendable, Equatable {
    public var name: String
    public var level: LogLevel
    /// Fields in the order they are written.
    public var fields: [(key: String, value: LogValue)]

    public init(_ name: String, level: LogLevel = .info, _ fields: KeyValuePairs<String, LogValue> = [:]) {
        self.name = name
        self.level = level
        self.fields = fields.map { ($0.key, $0.value) }
    }

    public subscript(key: String) -> LogValue? { fields.first { $0.key == key }?.value }

    public static func == (a: LogEvent, b: LogEvent) -> Bool {
        a.name == b.name && a.level == b.level && a.fields.count == b.fields.count
            && zip(a.fields, b.fields).allSatisfy { $0.key == $1.key && $0.value == $1.value }
    }
}
