import Federation
import Foundation

/// One event as one line of JSON: `{"time":…,"level":…,"event":…, fields in their order}` and a newline.
public enum EventLine {
    /// Keys that belong to the line itself; a field of that name is written with `_` after it.
    static let ownKeys = ["time", "level", "event"]

    /// The line's bytes, newline included. The same event and time give the same bytes; non-finite numbers become null.
    public static func encode(_ event: LogEvent, at time: Date) -> [UInt8] {
        var line: [UInt8] = []
        line.reserveCapacity(256)
        line += "{\"time\":\"".utf8
        line += EventTime.text(time).utf8
        line += "\",\"level\":\"".utf8
        line += event.level.rawValue.utf8
        line += "\",\"event\":".utf8
        append(event.name, to: &line)
        for field in event.fields {
            line.append(UInt8(ascii: ","))
            append(ownKeys.contains(field.key) ? field.key + "_" : field.key, to: &line)
            line.append(UInt8(ascii: ":"))
            append(field.value, to: &line)
        }
        line += "}\n".utf8
        return line
    }

    private static func append(_ value: LogValue, to line: inout [UInt8]) {
        switch value {
        case .string(let text): append(text, to: &line)
        case .int(let number): line += String(number).utf8
        // `description` is the shortest text that reads back as the same number, and always valid JSON when finite.
        case .double(let number): append(number, to: &line)
        case .bool(let flag): line += (flag ? "true" : "false").utf8
        case .strings(let texts):
            line.append(UInt8(ascii: "["))
            for (index, text) in texts.enumerated() {
                if index > 0 { line.append(UInt8(ascii: ",")) }
                append(text, to: &line)
            }
            line.append(UInt8(ascii: "]"))
        case .numbers(let numbers):
            line.append(UInt8(ascii: "["))
            for (index, number) in numbers.enumerated() {
                if index > 0 { line.append(UInt8(ascii: ",")) }
                append(number ?? .nan, to: &line)
            }
            line.append(UInt8(ascii: "]"))
        }
    }

    private static func append(_ number: Double, to line: inout [UInt8]) {
        line += (number.isFinite ? number.description : "null").utf8
    }

    /// A JSON string. Everything a terminal might act on is escaped too, so `cat` on a log is safe.
    private static func append(_ text: String, to line: inout [UInt8]) {
        line.append(UInt8(ascii: "\""))
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": line += "\\\"".utf8
            case "\\": line += "\\\\".utf8
            case "\n": line += "\\n".utf8
            case "\r": line += "\\r".utf8
            case "\t": line += "\\t".utf8
            case _ where isUnsafeOnTerminal(scalar): line += escapedForJSON(scalar).utf8
            default: line += String(scalar).utf8
            }
        }
        line.append(UInt8(ascii: "\""))
    }
}
