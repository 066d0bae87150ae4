import ModelGraph

/// The values of one used bin: an interval and how many lie in it.
struct BinInterval {
    var lower: Double
    var upper: Double
    var count: Double

    var center: Double { (lower + upper) / 2 }
    var width: Double { upper - lower }
}

extension ActivationHistogram {
    /// The range to quantize, which always contains 0.
    public func range(_ method: CalibrationMethod) -> (low: Double, high: Double) {
        guard count > 0 else { return (0, 0) }
        let full = (low: min(0, Double(minimum)), high: max(0, Double(maximum)))
        switch method {
        case .minMax: return full
        case .percentile(let percentile):
            let tail = (100 - percentile) / 100
            let share = full.low < 0 && full.high > 0 ? tail / 2 : tail
            return (max(full.low, min(0, quantile(share))), min(full.high, max(0, quantile(1 - share))))
        case .entropy:
            let limit = EntropyLimit.find(orderedBins, largest: max(-full.low, full.high))
            return (max(full.low, -limit), min(full.high, limit))
        case .meanSquaredError:
            let found = LeastSquaresRange(orderedBins, full: full)
            return (found.low, found.high)
        }
    }

    /// Used bins by ascending value. The outer ones end at the extremes, which lie in them: so what lies beyond the
    /// bins' own range is covered too.
    var orderedBins: [BinInterval] {
        var bins: [BinInterval] = []
        for index in Self.orderedIndices where counts[index] > 0 {
            let isNegative = index < Self.binsPerSign
            let edges = Self.edges(isNegative ? index : index - Self.binsPerSign)
            bins.append(
                BinInterval(
                    lower: isNegative ? -edges.upper : edges.lower, upper: isNegative ? -edges.lower : edges.upper,
                    count: Double(counts[index])))
        }
        if !bins.isEmpty {
            bins[0].lower = Double(minimum)
            bins[bins.count - 1].upper = Double(maximum)
        }
        return bins
    }

    /// The value below which a share of all values lies, linear within a bin.
    func quantile(_ share: Double) -> Double {
        let target = share * Double(count)
        var seen = 0.0
        for bin in orderedBins {
            if seen + bin.count >= target { return bin.lower + bin.width * max(0, target - seen) / bin.count }
            seen += bin.count
        }
        return Double(maximum)
    }
}

extension ActivationQuantization {
    /// uint8, asymmetric: s = (max − min)/255, z = round(−min/s); 0 is exactly representable. Precondition:
    /// low <= 0 <= high.
    public init(low: Double, high: Double) {
        let span = high - low
        // A tensor that is always 0 quantizes to 0 at any scale.
        guard span > 0 else {
            self.init(scale: 1, zeroPoint: 0)
            return
        }
        let scale = max(Float(span / 255), .leastNormalMagnitude)
        let zeroPoint = (-low / Double(scale)).rounded(.toNearestOrEven)
        self.init(scale: scale, zeroPoint: UInt8(min(max(zeroPoint, 0), 255)))
    }
}
