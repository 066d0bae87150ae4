import Foundation

/// Memory of a process as Linux accounts it.
public enum ProcessMemory {
    /// Resident bytes of this process now; 0 where /proc is missing.
    public static var residentBytes: Int { field("VmRSS:", of: "self") }
    /// Most resident bytes of this process so far.
    public static var peakBytes: Int { field("VmHWM:", of: "self") }

    /// Resident bytes of another process now, and the most so far; 0 when it is gone.
    public static func bytes(ofProcess identifier: Int32) -> (resident: Int, peak: Int) {
        (field("VmRSS:", of: String(identifier)), field("VmHWM:", of: String(identifier)))
    }

    private static func field(_ key: String, of process: String) -> Int {
        guard let status = try? String(contentsOfFile: "/proc/\(process)/status", encoding: .utf8) else { return 0 }
        for line in status.split(separator: "\n") where line.hasPrefix(key) {
            let digits = line.drop { !$0.isNumber }.prefix { $0.isNumber }
            return (Int(digits) ?? 0) * 1024
        }
        return 0
    }
}
