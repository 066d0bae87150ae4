/// What one check before a start has found: `pleach doctor`, `--check`.
public struct Finding: Sendable, Equatable, Encodable {
    public enum Outcome: String, Sendable, Equatable, CaseIterable, Encodable {
        case ok, warning, failed
    }

    /// What was looked at, in a word or three.
    public var check: String
    public var outcome: Outcome
    public var found: String
    /// What helps; nil where nothing needs to.
    public var mend: String?
    /// Of what failed: the exit code that a start would end with.
    public var exitCode: Int32?

    public init(
        _ check: String, _ outcome: Outcome, _ found: String, mend: String? = nil, exitCode: Int32? = nil
    ) {
        (self.check, self.outcome, self.found, self.mend, self.exitCode) = (check, outcome, found, mend, exitCode)
    }

    public init(_ check: String, _ found: String) { self.init(check, .ok, found) }

    /// `ok       ports        tcp://0.0.0.0:7700 is free`; names out of files and off the network cannot make it more lines.
    public func line(checkWidth: Int) -> String {
        let text = mend.map { "\(found): \($0)" } ?? found
        return Self.padded(outcome.rawValue, 8) + " " + Self.padded(check, checkWidth) + "  "
            + escapedForTerminal(text, limit: 2000)
    }

    private static func padded(_ text: String, _ width: Int) -> String {
        text + String(repeating: " ", count: max(0, width - text.count))
    }
}

/// The findings of one look, in order.
public struct Findings: Sendable, Equatable, Encodable {
    public private(set) var findings: [Finding] = []

    public init(_ findings: [Finding] = []) { self.findings = findings }

    public mutating func add(_ finding: Finding) { findings.append(finding) }

    /// The first that would stop a start.
    public var firstFailure: Finding? { findings.first { $0.outcome == .failed } }

    public var lines: [String] {
        let width = findings.map(\.check.count).max() ?? 0
        return findings.map { $0.line(checkWidth: width) }
    }

    /// The last line.
    public var verdict: String {
        let failed = findings.count { $0.outcome == .failed }
        let warnings = findings.count { $0.outcome == .warning }
        let aside = warnings == 0 ? "" : ", \(warnings) warning" + (warnings == 1 ? "" : "s")
        guard failed > 0 else { return "nothing stands against it" + aside }
        return "\(failed) of \(findings.count) checks failed" + aside
    }
}
