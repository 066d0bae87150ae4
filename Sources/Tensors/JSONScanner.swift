/// Reads the part of JSON (RFC 8259) that tensor headers use: objects, arrays, strings and non-negative integers.
///
/// Foundation's decoder silently keeps one of two equal keys and forgets their order, and a safetensors reader must
/// refuse the first and needs the second. Anything outside that part is refused with the byte offset.
struct JSONScanner: ~Copyable {
    struct Fault: Error {
        let reason: String
    }

    private let bytes: ArraySlice<UInt8>
    private var position: Int

    init(_ bytes: ArraySlice<UInt8>) {
        self.bytes = bytes
        position = bytes.startIndex
    }

    /// Reads `{ "key": value, ... }`, calling `member` with the scanner placed before each value.
    mutating func readObject(
        _ member: (_ key: String, _ scanner: inout JSONScanner) throws(Fault) -> Void
    ) throws(Fault) {
        try expect(UInt8(ascii: "{"))
        if take(UInt8(ascii: "}")) { return }
        repeat {
            let key = try readString()
            try expect(UInt8(ascii: ":"))
            try member(key, &self)
        } while take(UInt8(ascii: ","))
        try expect(UInt8(ascii: "}"))
    }

    /// Reads an array of at most `limit` non-negative integers.
    mutating func readIntegers(limit: Int) throws(Fault) -> [Int] {
        var integers: [Int] = []
        try expect(UInt8(ascii: "["))
        if take(UInt8(ascii: "]")) { return integers }
        repeat {
            guard integers.count < limit else { throw fault("more than \(limit) numbers in one list") }
            integers.append(try readInteger())
        } while take(UInt8(ascii: ","))
        try expect(UInt8(ascii: "]"))
        return integers
    }

    /// Reads one non-negative integer without leading zeros, sign, fraction or exponent.
    mutating func readInteger() throws(Fault) -> Int {
        skipSpace()
        let start = position
        var value = 0
        while let byte = peek(), byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") {
            let (product, overflow) = value.multipliedReportingOverflow(by: 10)
            let (sum, carry) = product.addingReportingOverflow(Int(byte - UInt8(ascii: "0")))
            guard !overflow, !carry else { throw fault("a number does not fit in 63 bits") }
            guard !(position > start && bytes[start] == UInt8(ascii: "0")) else {
                throw fault("a number has a leading zero")
            }
            value = sum
            position += 1
        }
        guard position > start else { throw fault("a non-negative integer is expected") }
        return value
    }

    /// Reads a string and undoes its escapes.
    mutating func readString() throws(Fault) -> String {
        try expect(UInt8(ascii: "\""))
        var decoded: [UInt8] = []
        while let byte = peek() {
            position += 1
            switch byte {
            case UInt8(ascii: "\""):
                guard let string = String(validating: decoded, as: UTF8.self) else {
                    throw fault("a string is not valid UTF-8")
                }
                return string
            case UInt8(ascii: "\\"): decoded.append(contentsOf: try readEscape())
            case 0..<0x20: throw fault("a string holds an unescaped control character")
            default: decoded.append(byte)
            }
        }
        throw fault("a string has no end")
    }

    /// Checks that only white space is left.
    mutating func expectEnd() throws(Fault) {
        skipSpace()
        guard position == bytes.endIndex else { throw fault("something follows the closing brace") }
    }

    private mutating func readEscape() throws(Fault) -> [UInt8] {
        guard let byte = peek() else { throw fault("a string has no end") }
        position += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return [byte]
        case UInt8(ascii: "b"): return [8]
        case UInt8(ascii: "f"): return [12]
        case UInt8(ascii: "n"): return [10]
        case UInt8(ascii: "r"): return [13]
        case UInt8(ascii: "t"): return [9]
        case UInt8(ascii: "u"): return Array(String(try readUnicodeScalar()).utf8)
        default: throw fault("unknown escape in a string")
        }
    }

    private mutating func readUnicodeScalar() throws(Fault) -> Character {
        var code = try readHexadecimal()
        if code >= 0xd800, code < 0xdc00 {
            guard peek() == UInt8(ascii: "\\"), position + 1 < bytes.endIndex, bytes[position + 1] == UInt8(ascii: "u")
            else { throw fault("half a surrogate pair") }
            position += 2
            let low = try readHexadecimal()
            guard low >= 0xdc00, low < 0xe000 else { throw fault("half a surrogate pair") }
            code = 0x10000 + (code - 0xd800) << 10 + (low - 0xdc00)
        }
        guard let scalar = Unicode.Scalar(code) else { throw fault("half a surrogate pair") }
        return Character(scalar)
    }

    private mutating func readHexadecimal() throws(Fault) -> UInt32 {
        var value: UInt32 = 0
        for _ in 0..<4 {
            guard let byte = peek(), let digit = Character(Unicode.Scalar(byte)).hexDigitValue, byte < 0x80 else {
                throw fault("four hexadecimal digits are expected after \\u")
            }
            value = value << 4 + UInt32(digit)
            position += 1
        }
        return value
    }

    private func peek() -> UInt8? { position < bytes.endIndex ? bytes[position] : nil }

    private mutating func skipSpace() {
        while let byte = peek(), byte == 0x20 || byte == 0x0a || byte == 0x0d || byte == 0x09 { position += 1 }
    }

    private mutating func take(_ byte: UInt8) -> Bool {
        skipSpace()
        guard peek() == byte else { return false }
        position += 1
        return true
    }

    private mutating func expect(_ byte: UInt8) throws(Fault) {
        guard take(byte) else { throw fault("'\(Character(Unicode.Scalar(byte)))' is expected") }
    }

    private func fault(_ reason: String) -> Fault {
        Fault(reason: "\(reason) at byte \(position - bytes.startIndex) of the header")
    }
}
