import Federation

/// Reads one event line back: a flat JSON object of strings, numbers, booleans, nulls and lists of strings or numbers, in
/// order.
///
/// Foundation's parser forgets the order of keys, which is part of what a log shows. Logs may come from a machine we do
/// not trust, so nothing here traps and everything is bounded by the line's own length.
struct EventLineParser {
    struct Fault: Error, Equatable {
        let reason: String
    }

    private let bytes: [UInt8]
    private var position = 0

    /// The event and the text of its `time`.
    static func parse(_ line: [UInt8]) throws(Fault) -> (time: String, event: LogEvent) {
        var parser = EventLineParser(bytes: line)
        var time: String?
        var name: String?
        var level: LogLevel?
        var fields: [(key: String, value: LogValue)] = []
        try parser.expect("{")
        if !parser.take("}") {
            repeat {
                let key = try parser.string()
                try parser.expect(":")
                let value = try parser.value()
                switch (key, value) {
                case ("time", .string(let text)?): time = text
                case ("event", .string(let text)?): name = text
                case ("level", .string(let text)?): level = LogLevel(rawValue: text)
                case (_, let value?): fields.append((key, value))
                case (_, nil): break
                }
            } while parser.take(",")
            try parser.expect("}")
        }
        parser.skipSpace()
        guard parser.position == line.count else { throw Fault(reason: "something follows the closing brace") }
        guard let time, let name, let level else { throw Fault(reason: "no time, level or event") }
        var event = LogEvent(name, level: level)
        event.fields = fields
        return (time, event)
    }

    private init(bytes: [UInt8]) { self.bytes = bytes }

    /// A value, nil for null.
    private mutating func value() throws(Fault) -> LogValue? {
        skipSpace()
        switch peek {
        case UInt8(ascii: "\"")?: return .string(try string())
        case UInt8(ascii: "[")?: return try list()
        case UInt8(ascii: "t")?: return try word("true", .bool(true))
        case UInt8(ascii: "f")?: return try word("false", .bool(false))
        case UInt8(ascii: "n")?: return try word("null", nil)
        default: return try number()
        }
    }

    private mutating func word(_ text: StaticString, _ value: LogValue?) throws(Fault) -> LogValue? {
        let expected = Array(text.description.utf8)
        guard bytes[position...].starts(with: expected) else { throw fault("an unknown word") }
        position += expected.count
        return value
    }

    private mutating func number() throws(Fault) -> LogValue {
        let start = position
        while let byte = peek, "+-.0123456789eE".utf8.contains(byte) { position += 1 }
        let text = String(decoding: bytes[start..<position], as: UTF8.self)
        if let integer = Int(text) { return .int(integer) }
        guard let double = Double(text), double.isFinite else { throw fault("no value where one is expected") }
        return .double(double)
    }

    /// Of texts, or of numbers and nulls; an empty one counts as texts.
    private mutating func list() throws(Fault) -> LogValue {
        try expect("[")
        if take("]") { return .strings([]) }
        skipSpace()
        guard peek != UInt8(ascii: "\"") else {
            var texts: [String] = []
            repeat { texts.append(try string()) } while take(",")
            try expect("]")
            return .strings(texts)
        }
        var numbers: [Double?] = []
        repeat {
            skipSpace()
            guard peek != UInt8(ascii: "[") else { throw fault("a list within a list") }
            switch try value() {
            case .int(let number)?: numbers.append(Double(number))
            case .double(let number)?: numbers.append(number)
            case nil: numbers.append(nil)
            default: throw fault("a list of other things than texts or numbers")
            }
        } while take(",")
        try expect("]")
        return .numbers(numbers)
    }

    private mutating func string() throws(Fault) -> String {
        try expect("\"")
        var decoded: [UInt8] = []
        while let byte = peek {
            position += 1
            switch byte {
            case UInt8(ascii: "\""):
                guard let text = String(validating: decoded, as: UTF8.self) else { throw fault("text is not UTF-8") }
                return text
            case UInt8(ascii: "\\"): decoded += String(try escape()).utf8
            case 0..<0x20: throw fault("a bare control character")
            default: decoded.append(byte)
            }
        }
        throw fault("the line is cut within a string")
    }

    private mutating func escape() throws(Fault) -> Unicode.Scalar {
        guard let byte = peek else { throw fault("the line is cut within an escape") }
        position += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return Unicode.Scalar(byte)
        case UInt8(ascii: "n"): return "\n"
        case UInt8(ascii: "r"): return "\r"
        case UInt8(ascii: "t"): return "\t"
        case UInt8(ascii: "b"): return "\u{8}"
        case UInt8(ascii: "f"): return "\u{C}"
        case UInt8(ascii: "u"):
            let first = try codeUnit()
            if let scalar = Unicode.Scalar(first) { return scalar }
            // Outside the basic plane JSON writes a pair of surrogates.
            guard first < 0xDC00, peek == UInt8(ascii: "\\"), bytes.dropFirst(position + 1).first == UInt8(ascii: "u")
            else { throw fault("half a surrogate pair") }
            position += 2
            let second = try codeUnit()
            guard (0xDC00..<0xE000).contains(second),
                let scalar = Unicode.Scalar(0x10000 + (UInt32(first) - 0xD800) << 10 + (UInt32(second) - 0xDC00))
            else { throw fault("half a surrogate pair") }
            return scalar
        default: throw fault("an unknown escape")
        }
    }

    private mutating func codeUnit() throws(Fault) -> UInt16 {
        let digits = bytes.dropFirst(position).prefix(4)
        guard digits.count == 4, digits.allSatisfy({ Character(Unicode.Scalar($0)).isHexDigit }),
            let unit = UInt16(String(decoding: digits, as: UTF8.self), radix: 16)
        else { throw fault("an escape without four hexadecimal digits") }
        position += 4
        return unit
    }

    private var peek: UInt8? { position < bytes.count ? bytes[position] : nil }

    private mutating func skipSpace() {
        while let byte = peek, byte == 0x20 || byte == 0x09 || byte == 0x0D || byte == 0x0A { position += 1 }
    }

    private mutating func take(_ expected: Unicode.Scalar) -> Bool {
        skipSpace()
        guard peek == UInt8(ascii: expected) else { return false }
        position += 1
        return true
    }

    private mutating func expect(_ expected: Unicode.Scalar) throws(Fault) {
        guard take(expected) else {
            throw fault(position == bytes.count ? "the line is cut" : "'\(expected)' is expected")
        }
    }

    private func fault(_ reason: String) -> Fault { Fault(reason: "\(reason) at byte \(position)") }
}
