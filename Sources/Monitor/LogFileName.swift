import Foundation

/// Names of log files: `NAME.jsonl` is written to; `NAME.jsonl.1` is the one before, `.2` the one before that.
enum LogFileName {
    static let suffix = ".jsonl"

    /// `name` as a file name: bytes outside letters, digits, `.`, `-` and `_`, and a leading dot, become `%HEX`, so
    /// different names stay different and none leaves the folder. nil when empty or too long for a file name.
    static func encoded(_ name: String) -> String? {
        guard !name.isEmpty else { return nil }
        var encoded = ""
        for (index, byte) in name.utf8.enumerated() {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"):
                encoded.unicodeScalars.append(Unicode.Scalar(byte))
            case UInt8(ascii: ".") where index > 0: encoded += "."
            default: encoded += "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16, uppercase: true)
            }
        }
        return encoded.utf8.count <= 240 ? encoded : nil
    }

    /// Path of the `generation`-th file before the current one (0).
    static func path(_ base: String, generation: Int) -> String { generation == 0 ? base : "\(base).\(generation)" }
}
