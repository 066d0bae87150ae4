/// What is wrong with a plan, in which line, and how to mend it.
public struct PlanError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The plan file as its user named it.
    public let path: String
    /// Counted from 1; nil when the fault belongs to no line (a file that is too big).
    public let line: Int?
    /// Counted from 1, in Unicode scalars; only for text that is not YAML at all.
    public let column: Int?
    /// One sentence without the place.
    public let message: String

    public init(path: String, line: Int?, column: Int? = nil, message: String) {
        self.path = path
        self.line = line
        self.column = column
        self.message = message
    }

    /// `PATH:LINE: MESSAGE`, or `PATH:LINE:COLUMN: MESSAGE` for malformed YAML.
    public var description: String {
        let place = [line, column].compactMap { $0.map(String.init) }
        return ([path] + place).joined(separator: ":") + ": " + message
    }
}
