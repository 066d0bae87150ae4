import Foundation

/// Numbers of a drawing, the same in every place.
enum SVG {
    /// One digit behind the point; a place that is no number is 0.
    static func number(_ value: Double) -> String {
        guard value.isFinite, abs(value) < 1e7 else { return "0.0" }
        let text = String(format: "%.1f", value)
        return text == "-0.0" ? "0.0" : text
    }
}

/// From figures to places along an axis.
struct AxisScale: Equatable {
    /// What the axis spans; `low` is below `high`.
    let low: Double
    let high: Double

    /// Larger magnitudes are taken for no figure: differences of them could not be told from infinity.
    static let limit = 1e100

    static func isKnown(_ value: Double) -> Bool { value.isFinite && abs(value) <= limit }

    /// Spans all figures that are numbers, and something around them where they are all the same; nil where none is.
    /// - Parameters:
    ///   - least: where the axis begins at the latest; `bounds` are never left.
    init?(_ values: some Sequence<Double>, least: Double? = nil, bounds: ClosedRange<Double>? = nil) {
        let known = values.filter(Self.isKnown)
        guard var low = known.min(), var high = known.max() else { return nil }
        if let least { low = min(low, least) }
        if high - low <= 1e-9 * max(abs(low), abs(high)) {
            let room = high == 0 ? 1 : abs(high) * 0.05
            (low, high) = (least == nil ? low - room : low, high + room)
        }
        if let bounds, bounds.lowerBound < bounds.upperBound {
            // Figures beyond them are drawn at the edge.
            low = min(max(low, bounds.lowerBound), bounds.upperBound)
            high = max(min(high, bounds.upperBound), bounds.lowerBound)
            if high <= low { (low, high) = (bounds.lowerBound, bounds.upperBound) }
        }
        (self.low, self.high) = (low, high)
    }

    /// 0 at `low`, 1 at `high`; what lies beyond is at the edge.
    func place(_ value: Double) -> Double { min(1, max(0, (value - low) / (high - low))) }

    /// Round numbers within the axis: steps of 1, 2 or 5 times a power of ten, about `most` of them.
    func ticks(_ most: Int) -> [Double] {
        let raw = (high - low) / Double(max(1, most))
        let power = pow(10, log10(raw).rounded(.down))
        let step = ([1, 2, 5].first { $0 * power >= raw * 0.999 } ?? 10) * power
        guard step.isFinite, step > 0 else { return [low, high] }
        let first = (low / step - 1e-9).rounded(.up)
        return (0...most + 1).map { (first + Double($0)) * step }.filter { $0 <= high + step * 1e-6 }
    }
}
