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

/// Sizes as plans and options write them: a number of bytes, or a whole number with a unit of 1,024 or 1,000.
public enum PlanSize {
    private static let units: [(suffix: String, bytes: Int)] = [
        ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40), ("kB", 1000), ("KB", 1000),
        ("MB", 1_000_000), ("GB", 1_000_000_000), ("TB", 1_000_000_000_000),
    ]

    /// Bytes of `65536`, `64KiB`, `1MiB`, `200KB` or `4GiB`; nil for anything else.
    public static func bytes(_ text: String) -> Int? {
        let unit = units.first { text.hasSuffix($0.suffix) }
        let digits = text.dropLast(unit?.suffix.count ?? 0)
        guard !digits.isEmpty, digits.allSatisfy({ $0.isASCII && $0.isNumber }), let value = Int(digits) else {
            return nil
        }
        let (bytes, overflow) = value.multipliedReportingOverflow(by: unit?.bytes ?? 1)
        return overflow ? nil : bytes
    }

    /// The shortest exact form with a unit, if there is one.
    static func plain(_ bytes: Int) -> String {
        let forms = units.filter { $0.suffix != "kB" && bytes >= $0.bytes && bytes % $0.bytes == 0 }
            .map { "\(bytes / $0.bytes)\($0.suffix)" }
        return forms.min { $0.count < $1.count } ?? String(bytes)
    }
}

/// Rates as plans write them: a size, then `/s`.
enum PlanRate {
    /// Bytes per second of `1MB/s`, `200KiB/s` or `125000/s`; nil for anything else.
    static func bytesPerSecond(_ text: String) -> Int? {
        text.hasSuffix("/s") ? PlanSize.bytes(String(text.dropLast(2))) : nil
    }
}
