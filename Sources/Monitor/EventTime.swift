import Foundation

/// Times as event lines write them.
public enum EventTime {
    /// `2025-11-21T04:15:10.123Z`: ISO 8601, UTC, milliseconds rounded down, years 0 to 9999.
    ///
    /// Days to date by Howard Hinnant's `civil_from_days`: Foundation's formatters are slow and allocate per line.
    public static func text(_ date: Date) -> String {
        let limited = min(max(date.timeIntervalSince1970, -62_167_219_200), 253_402_300_799)
        let milliseconds = Int((limited * 1000).rounded(.down))
        let (days, ofDay) = floorDivide(milliseconds, by: 86_400_000)
        let shifted = days + 719_468
        let (era, dayOfEra) = floorDivide(shifted, by: 146_097)
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthFromMarch = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * monthFromMarch + 2) / 5 + 1
        let month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
        let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        let clock = [ofDay / 3_600_000, ofDay / 60_000 % 60, ofDay / 1000 % 60].map { padded($0, 2) }
        return "\(padded(year, 4))-\(padded(month, 2))-\(padded(day, 2))T\(clock.joined(separator: ":"))"
            + ".\(padded(ofDay % 1000, 3))Z"
    }

    /// `04:15:10`, the part people need on a terminal.
    static func clock(_ date: Date) -> String { String(text(date).dropFirst(11).prefix(8)) }

    private static func floorDivide(_ value: Int, by divisor: Int) -> (quotient: Int, remainder: Int) {
        let (quotient, remainder) = value.quotientAndRemainder(dividingBy: divisor)
        return remainder < 0 ? (quotient - 1, remainder + divisor) : (quotient, remainder)
    }

    private static func padded(_ value: Int, _ width: Int) -> String {
        let digits = String(value)
        return String(repeating: "0", count: max(0, width - digits.count)) + digits
    }
}
