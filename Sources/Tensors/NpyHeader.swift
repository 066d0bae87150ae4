/// The Python dictionary at the start of an npy file: exactly the keys `descr`, `fortran_order` and `shape`.
struct NpyHeader {
    struct Fault: Error {
        let reason: String
    }

    private(set) var descriptor = ""
    private(set) var isFortranOrder = false
    private(set) var dimensions: [Int] = []

    /// The most extents accepted: NumPy's own limit.
    private static let rankLimit = 64

    init(parsing text: ArraySlice<UInt8>) throws(Fault) {
        var rest = text
        var seen: [String] = []
        try Self.expect("{", in: &rest)
        while !Self.take("}", in: &rest) {
            let key = try Self.readString(&rest)
            guard !seen.contains(key) else { throw Fault(reason: "npy header key '\(key)' appears twice") }
            seen.append(key)
            try Self.expect(":", in: &rest)
            switch key {
            case "descr": descriptor = try Self.readString(&rest)
            case "fortran_order": isFortranOrder = try Self.readBoolean(&rest)
            case "shape": dimensions = try Self.readTuple(&rest)
            default: throw Fault(reason: "npy header has the unknown key '\(key)'")
            }
            if !Self.take(",", in: &rest) {
                try Self.expect("}", in: &rest)
                break
            }
        }
        Self.skipSpace(&rest)
        guard rest.isEmpty else { throw Fault(reason: "something follows the npy header's dictionary") }
        guard seen.count == 3 else { throw Fault(reason: "the npy header needs descr, fortran_order and shape") }
    }

    private static func skipSpace(_ rest: inout ArraySlice<UInt8>) {
        rest = rest.drop { $0 == 0x20 || $0 == 0x0a || $0 == 0x0d || $0 == 0x09 }
    }

    private static func take(_ text: StaticString, in rest: inout ArraySlice<UInt8>) -> Bool {
        skipSpace(&rest)
        let isNext = text.withUTF8Buffer { rest.starts(with: $0) }
        if isNext { rest = rest.dropFirst(text.utf8CodeUnitCount) }
        return isNext
    }

    private static func expect(_ text: StaticString, in rest: inout ArraySlice<UInt8>) throws(Fault) {
        guard take(text, in: &rest) else { throw Fault(reason: "'\(text)' is expected in the npy header") }
    }

    private static func readString(_ rest: inout ArraySlice<UInt8>) throws(Fault) -> String {
        skipSpace(&rest)
        guard let quote = rest.first, quote == UInt8(ascii: "'") || quote == UInt8(ascii: "\"") else {
            throw Fault(reason: "a quoted word is expected in the npy header (structured types are not supported)")
        }
        rest = rest.dropFirst()
        let content = rest.prefix { $0 != quote && $0 != UInt8(ascii: "\\") && $0 >= 0x20 && $0 < 0x7f }
        rest = rest.dropFirst(content.count)
        guard rest.first == quote else { throw Fault(reason: "a quoted word in the npy header is malformed") }
        rest = rest.dropFirst()
        return String(decoding: content, as: UTF8.self)
    }

    private static func readBoolean(_ rest: inout ArraySlice<UInt8>) throws(Fault) -> Bool {
        if take("True", in: &rest) { return true }
        try expect("False", in: &rest)
        return false
    }

    private static func readTuple(_ rest: inout ArraySlice<UInt8>) throws(Fault) -> [Int] {
        var dimensions: [Int] = []
        try expect("(", in: &rest)
        while !take(")", in: &rest) {
            skipSpace(&rest)
            let digits = rest.prefix { $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9") }
            guard let extent = Int(String(decoding: digits, as: UTF8.self)), dimensions.count < rankLimit else {
                throw Fault(reason: "the npy header's shape is not a tuple of at most \(rankLimit) sizes")
            }
            rest = rest.dropFirst(digits.count)
            dimensions.append(extent)
            if !take(",", in: &rest) {
                try expect(")", in: &rest)
                break
            }
        }
        return dimensions
    }
}
