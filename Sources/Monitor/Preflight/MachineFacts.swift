import Foundation

/// What this machine has to give, as Linux tells it. Whatever cannot be read is nil.
public struct MachineFacts: Sendable, Equatable {
    /// Memory that can be had without swapping, in bytes.
    public var availableMemory: Int?
    /// What the control group still allows, where it has a limit.
    public var groupMemory: Int?
    /// Files and sockets that this process may have open.
    public var openFiles: Int?
    /// Whether the kernel's clock is disciplined by NTP or another source.
    public var isClockSynchronized: Bool?
    /// Seconds since 1970.
    public var time: Double

    /// Reads them now.
    public init() {
        availableMemory = Self.available(inMemoryInfo: Self.text("/proc/meminfo"))
        groupMemory = Self.roomInGroup(Self.text("/proc/self/cgroup"), read: Self.text)
        var limit = rlimit()
        openFiles =
            getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 ? Int(clamping: limit.rlim_cur) : nil
        isClockSynchronized = Self.clockState().map { $0 != Self.timeError }
        time = Date().timeIntervalSince1970
    }

    /// adjtimex(2): nobody keeps the clock.
    private static let timeError: Int32 = 5

    /// What adjtimex(2) says when nothing is to be changed; nil where it may not be asked. Swift's Glibc does not know its header.
    private static func clockState() -> Int32? {
        typealias Adjtimex = @convention(c) (UnsafeMutableRawPointer) -> Int32
        guard let symbol = dlsym(nil, "adjtimex") else { return nil }
        // All zero asks only; the structure has 208 bytes on 64-bit systems, and 32-bit ones have less.
        var structure = [UInt64](repeating: 0, count: 64)
        let state = structure.withUnsafeMutableBytes { bytes in
            bytes.baseAddress.map { unsafeBitCast(symbol, to: Adjtimex.self)($0) } ?? -1
        }
        return state < 0 ? nil : state
    }

    init(availableMemory: Int?, groupMemory: Int?, openFiles: Int?, isClockSynchronized: Bool?, time: Double) {
        (self.availableMemory, self.groupMemory, self.openFiles) = (availableMemory, groupMemory, openFiles)
        (self.isClockSynchronized, self.time) = (isClockSynchronized, time)
    }

    /// Free bytes for this user on the disk of a path, or of the nearest folder above it that is there.
    public static func freeDisk(of path: String) -> Int? {
        var place = URL(fileURLWithPath: path).standardizedFileURL
        while !FileManager.default.fileExists(atPath: place.path), place.path != "/" { place.deleteLastPathComponent() }
        var facts = statvfs()
        guard statvfs(place.path, &facts) == 0 else { return nil }
        let (bytes, overflow) = UInt64(facts.f_bavail).multipliedReportingOverflow(by: UInt64(facts.f_frsize))
        return overflow ? Int.max : Int(clamping: bytes)
    }

    /// `MemAvailable` of /proc/meminfo.
    static func available(inMemoryInfo text: String?) -> Int? {
        guard let line = text?.split(separator: "\n").first(where: { $0.hasPrefix("MemAvailable:") }) else {
            return nil
        }
        return line.split(separator: " ").dropFirst().first.flatMap { Int($0) }.map { $0 * 1024 }
    }

    /// Limit less use of the tightest control group above this process, version 2 or 1.
    /// - Parameters:
    ///   - membership: /proc/self/cgroup.
    ///   - read: a file's text; nil where there is none.
    static func roomInGroup(_ membership: String?, read: (String) -> String?) -> Int? {
        var rooms: [Int] = []
        for line in (membership ?? "").split(separator: "\n") {
            let parts = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard parts.count == 3 else { continue }
            let isVersion2 = parts[0] == "0" && parts[1].isEmpty
            guard isVersion2 || parts[1].split(separator: ",").contains("memory") else { continue }
            let root = isVersion2 ? "/sys/fs/cgroup" : "/sys/fs/cgroup/memory"
            let (limit, use) =
                isVersion2 ? ("memory.max", "memory.current") : ("memory.limit_in_bytes", "memory.usage_in_bytes")
            // In a container the path may be one of the host: then the root is the group's own.
            var path = parts[2].hasPrefix("/") ? String(parts[2]) : "/"
            while true {
                let folder = root + (path == "/" ? "" : path)
                // "max", or nearly all of 63 bits, is no limit.
                if let most = number(read(folder + "/" + limit)), most < 1 << 60 {
                    rooms.append(max(0, most - (number(read(folder + "/" + use)) ?? 0)))
                }
                guard path != "/", let slash = path.lastIndex(of: "/") else { break }
                path = slash == path.startIndex ? "/" : String(path[..<slash])
            }
        }
        return rooms.min()
    }

    private static func number(_ text: String?) -> Int? {
        text.flatMap { Int($0.trimmingCharacters(in: .whitespacesAndNewlines)) }
    }

    private static func text(_ path: String) -> String? { try? String(contentsOfFile: path, encoding: .utf8) }
}
