import Federation
import Foundation

/// Output that systemd's journal reads (systemd.exec(5), sd-daemon(3)): a service's stream is the journal's when
/// `JOURNAL_STREAM` names its device and inode; there a line may begin with its priority, `<3>`, and the journal writes
/// the time itself.
public enum JournalStream {
    /// Whether a descriptor leads to the journal. What a service redirects elsewhere does not, though it inherits the
    /// variable.
    public static func isBehind(
        _ descriptor: Int32, environment: [String: String] = ProcessInfo.processInfo.environment
    ) -> Bool {
        guard let stream = environment["JOURNAL_STREAM"] else { return false }
        var facts = stat()
        guard fstat(descriptor, &facts) == 0 else { return false }
        return stream == "\(facts.st_dev):\(facts.st_ino)"
    }

    /// syslog's priority: `<3>` error, `<4>` warning, `<6>` info, `<7>` debug.
    public static func prefix(_ level: LogLevel) -> String {
        switch level {
        case .error: "<3>"
        case .warning: "<4>"
        case .info: "<6>"
        case .debug: "<7>"
        }
    }
}
