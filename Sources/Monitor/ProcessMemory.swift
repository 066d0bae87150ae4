import Foundation

/// Memory of this process as Linux accounts it.
public enum ProcessMemory {
    /// Resident bytes now; 0 where /proc is missing.
    public static var residentBytes: Int { field("VmRSS:") }
    /// Most resident bytes so far.
    public static var peakBytes: Int { field("VmHWM:") }

    private static func field(_ key: String) -> Int {
        guard let status = try? String(contentsOfFile: "/proc/self/status", encoding: .utf8) else { return 0 }
        for line in status.split(separator: "\n") where line.hasPrefix(key) {
            let digits = line.drop { !$0.isNumber }.prefix { $0.isNumber }
            return (Int(digits) ?? 0) * 1024
        }
        return 0
    }
}
