import Foundation

/// A state folder of its own for one test, gone with it.
final class LogFolder {
    let state: String
    var logs: String { state + "/logs" }

    init() {
        state = NSTemporaryDirectory() + "pleach-monitor-\(UUID().uuidString)"
        try? FileManager.default.createDirectory(atPath: logs, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: state) }

    func text(_ name: String) -> String? { try? String(contentsOfFile: "\(logs)/\(name)", encoding: .utf8) }

    func append(_ text: String, to name: String) throws {
        let path = "\(logs)/\(name)"
        if !FileManager.default.fileExists(atPath: path) { try Data().write(to: URL(fileURLWithPath: path)) }
        let handle = try FileHandle(forWritingTo: URL(fileURLWithPath: path))
        try handle.seekToEnd()
        try handle.write(contentsOf: Data(text.utf8))
        try handle.close()
    }
}

/// 2025-11-21T04:15:10.123Z, and so many seconds later.
func moment(_ later: Double = 0) -> Date { Date(timeIntervalSince1970: 1_763_698_510.123_4 + later) }
