/// Durations as plans write them: a number of seconds, or a number with a unit.
enum PlanDuration {
    /// Seconds of `90`, `1.5`, `500ms`, `90s`, `2m` or `1h`; nil for anything else.
    static func seconds(_ text: String) -> Double? {
        let units: [(suffix: String, seconds: Double)] = [("ms", 0.001), ("s", 1), ("m", 60), ("h", 3600)]
        let unit = units.first { text.hasSuffix($0.suffix) }
        let digits = text.dropLast(unit?.suffix.count ?? 0)
        // Double() also reads hexadecimal, "nan" and exponents: a duration needs none of them.
        guard !digits.isEmpty, digits.allSatisfy({ $0.isASCII && ($0.isNumber || $0 == ".") }),
            let value = Double(digits)
        else { return nil }
        return value * (unit?.seconds ?? 1)
    }

    /// A number without a needless `.0`.
    static func plain(_ value: Double) -> String {
        value == value.rounded() && abs(value) < 1e15 ? String(Int(value)) : String(value)
    }
}
