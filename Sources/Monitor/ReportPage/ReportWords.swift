import Foundation

/// Differences and times as reports say them.
enum ReportWords {
    /// `2025-11-21 04:15` of an event's time; what is none stays as it is, cut.
    static func minute(_ time: String) -> String { String(time.prefix(16)).replacing("T", with: " ") }

    /// `26,010`, or `25.6 M` where that is long.
    static func amount(_ count: Int) -> String {
        count < 1_000_000 ? Figures.count(count) : Figures.amount(count)
    }

    /// `from 99.11 %, -0.20 points`
    static func accuracy(_ before: Double?, _ after: Double?) -> String? {
        guard let before else { return nil }
        return "from \(Figures.percent(before))" + (after.map { ", \(points(from: before, to: $0))" } ?? "")
    }

    /// `+0.20 points`
    static func points(from before: Double, to after: Double) -> String {
        let difference = 100 * (after - before)
        return difference.isFinite ? signed(difference, "%.2f") + " points" : "?"
    }

    /// With its sign; what rounds to nothing has none.
    static func signed(_ value: Double, _ format: String) -> String {
        let text = String(format: format, abs(value))
        let isZero = text.allSatisfy { "0.".contains($0) }
        return (isZero ? "" : value < 0 ? "−" : "+") + text
    }

    /// `, 3.92x smaller`, or nothing where it is not.
    static func smaller(_ before: Int, _ after: Int, _ word: String = "smaller") -> String {
        guard before > after, after > 0 else { return "" }
        return ", \(Figures.factor(Double(before) / Double(after))) \(word)"
    }

    /// `from 272,474 (−49.7 %)`
    static func from(_ before: Int?, _ after: Int?) -> String? {
        guard let before, let after else { return nil }
        guard before != after else { return "as before" }
        return "from \(amount(before))" + (change(before, after).map { " (\($0))" } ?? "")
    }

    /// `−49.7 %`; nil where nothing was there before, or too little changed to be told.
    static func change(_ before: Int, _ after: Int) -> String? { change(Double(before), Double(after)) }

    static func change(_ before: Double, _ after: Double) -> String? {
        guard before > 0, before != after, (after / before).isFinite else { return nil }
        let change = after / before - 1
        guard abs(change) >= 0.0005 else { return nil }
        return change > 9 ? Figures.factor(after / before) : signed(100 * change, "%.1f") + " %"
    }

    /// `64 x 32 x 3 x 3`
    static func shape(_ extents: [Int]?) -> String? {
        extents.map { $0.isEmpty ? "scalar" : $0.prefix(8).map(String.init).joined(separator: " × ") }
    }

    static func count(_ number: Int, _ one: String, _ many: String) -> String {
        "\(Figures.count(number)) \(number == 1 ? one : many)"
    }

    /// Two long texts with what they begin with in common cut, so that what tells them apart is seen.
    static func apart(_ a: String, _ b: String, width: Int = 40) -> (String, String) {
        guard max(a.count, b.count) > width else { return (a, b) }
        let common = a.commonPrefix(with: b).count - 6
        return common < 6 ? (a, b) : ("…\(a.dropFirst(common))", "…\(b.dropFirst(common))")
    }
}
