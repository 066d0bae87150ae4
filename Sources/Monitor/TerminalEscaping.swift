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
