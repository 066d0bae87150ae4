/// Makes text from the network safe to show: control characters (C0, DEL, C1), line separators, zero-width and
/// direction-changing characters become `\u{HEX}`, and what is longer than `limit` characters is cut with `…`.
public func escapedForTerminal(_ text: String, limit: Int = 400) -> String {
    var shown = ""
    var count = 0
    for scalar in text.unicodeScalars {
        guard count < limit else { return shown + "…" }
        count += 1
        if isUnsafeOnTerminal(scalar) {
            shown += "\\u{" + String(scalar.value, radix: 16, uppercase: true) + "}"
        } else {
            shown.unicodeScalars.append(scalar)
        }
    }
    return shown
}

/// Whether a terminal might act on it, or a reader might not see it.
func isUnsafeOnTerminal(_ scalar: Unicode.Scalar) -> Bool {
    if scalar.isASCII { return scalar.value < 0x20 || scalar.value == 0x7F }
    return switch scalar.properties.generalCategory {
    // Format covers the direction overrides and zero-width characters by which one name passes for another.
    case .control, .format, .lineSeparator, .paragraphSeparator, .privateUse, .unassigned: true
    default: false
    }
}

/// JSON that another program may have written, the same JSON, with nothing in it that a terminal acts on but line feeds.
///
/// It must be valid: control characters then stand between its tokens only, where a space means the same, and what else is
/// escaped stands within its texts.
public func escapedJSON(_ json: String) -> String {
    guard json.unicodeScalars.contains(where: { $0 != "\n" && isUnsafeOnTerminal($0) }) else { return json }
    var escaped = ""
    for scalar in json.unicodeScalars {
        if scalar.value < 0x20 {
            escaped.unicodeScalars.append(scalar == "\n" ? "\n" : " ")
        } else if isUnsafeOnTerminal(scalar) {
            escaped += escapedForJSON(scalar)
        } else {
            escaped.unicodeScalars.append(scalar)
        }
    }
    return escaped
}

/// `\u001b`; two of them, a surrogate pair, beyond the basic plane.
func escapedForJSON(_ scalar: Unicode.Scalar) -> String {
    scalar.utf16.map { unit in
        let digits = String(unit, radix: 16)
        return "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
    }.joined()
}
