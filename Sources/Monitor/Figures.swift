import Foundation

/// Numbers as people read them; the same everywhere, whatever the locale.
enum Figures {
    /// `26,010`
    static func count(_ number: Int) -> String {
        var grouped = ""
        for (index, digit) in String(number.magnitude).reversed().enumerated() {
            if index > 0, index.isMultiple(of: 3) { grouped.append(",") }
            grouped.append(digit)
        }
        return (number < 0 ? "-" : "") + String(grouped.reversed())
    }

    /// `812`, `41.2 M`, `4.10 G` (powers of 1000).
    static func amount(_ count: Int) -> String {
        abs(Double(count)) < 1000 ? "\(count)" : scaled(count)
    }

    /// Milliseconds: `0.512`, `12.3`, `351`.
    static func milliseconds(_ value: Double) -> String {
        guard value.isFinite, abs(value) < 1e9 else { return "?" }
        return abs(value) < 0.9995 ? String(format: "%.3f", value) : significant(value)
    }

    /// `812 B`, `30.1 KB`, `2.40 GB` (powers of 1000).
    static func bytes(_ count: Int) -> String {
        abs(Double(count)) < 1000 ? "\(count) B" : scaled(count) + "B"
    }

    /// At least 1000, in powers of 1000.
    private static func scaled(_ count: Int) -> String {
        var value = Double(count)
        var unit = ""
        for next in ["K", "M", "G", "T", "P", "E"] where abs(value) >= 999.5 {
            value /= 1000
            unit = next
        }
        return "\(significant(value)) \(unit)"
    }

    /// `0.42 s`, `12.3 s`, `4 min 05 s`, `3 h 02 min`.
    static func seconds(_ value: Double) -> String {
        guard value.isFinite, abs(value) < 1e9 else { return "?" }
        if value < 99.95 { return String(format: value < 10 ? "%.2f s" : "%.1f s", value) }
        let whole = Int(value.rounded())
        if whole < 3600 { return String(format: "%d min %02d s", whole / 60, whole % 60) }
        return String(format: "%d h %02d min", whole / 3600, whole / 60 % 60)
    }

    /// `1 worker`, `4 workers`.
    static func counted(_ count: Int, _ one: String, _ several: String? = nil) -> String {
        "\(Self.count(count)) \(count == 1 ? one : several ?? one + "s")"
    }

    /// A share of one as `97.31 %`.
    static func percent(_ share: Double) -> String { share.isFinite ? String(format: "%.2f %%", share * 100) : "?" }

    /// A share of one as `97 %`.
    static func share(_ share: Double) -> String {
        share.isFinite ? String(format: "%.0f %%", min(1, max(0, share)) * 100) : "?"
    }

    /// `3.56x`, `28.4x`, `351x`.
    static func factor(_ value: Double) -> String { value.isFinite ? significant(value) + "x" : "?" }

    static func number(_ value: Double) -> String { value.isFinite ? String(format: "%.4g", value) : "?" }

    /// Three digits that count.
    private static func significant(_ value: Double) -> String {
        switch abs(value) {
        case ..<9.995: String(format: "%.2f", value)
        case ..<99.95: String(format: "%.1f", value)
        default: String(format: "%.0f", value)
        }
    }
}
