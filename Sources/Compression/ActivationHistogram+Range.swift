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

extension ActivationHistogram {
    /// The share of values that a range cuts off, those of a bin spread evenly; 0 of no values.
    /// Precondition: low <= high.
    public func clippedShare(low: Double, high: Double) -> Double {
        guard count > 0 else { return 0 }
        var beyond = 0.0
        for bin in orderedBins {
            // The part of a bin below and above; a bin of one value is whole.
            let width = bin.width
            if width > 0 {
                beyond += bin.count * min(max((low - bin.lower) / width, 0), 1)
                beyond += bin.count * min(max((bin.upper - high) / width, 0), 1)
            } else if bin.lower < low || bin.lower > high {
                beyond += bin.count
            }
        }
        return min(beyond / Double(count), 1)
    }
}

extension ActivationQuantization {
    /// The integers for a range; 0 is exactly representable. Asymmetric: s = (max − min)/255, z = round(q_min − min/s), q_min
    /// being the storage's lowest. Symmetric: s = max(|min|, |max|)/127 with z in the storage's middle (0 of int8, 128 of uint8).
    /// Powers of two are rounded up, so that the range is covered. Precondition: low <= 0 <= high.
    public init(
        low: Double, high: Double, storage: Storage = .uint8, symmetric: Bool = false, powerOfTwo: Bool = false
    ) {
        let (lowest, highest) = (Double(storage.codes.lowerBound), Double(storage.codes.upperBound))
        let middle: Int32 = storage == .uint8 ? 128 : 0
        let span = symmetric ? 2 * max(-low, high) : high - low
        // A tensor that is always 0 quantizes to 0 at any scale.
        guard span > 0 else {
            self.init(
                scale: 1, zeroPoint: symmetric ? middle : storage.codes.lowerBound, storage: storage,
                isPowerOfTwo: powerOfTwo)
            return
        }
        var scale = max(Float(span / (symmetric ? 254 : 255)), .leastNormalMagnitude)
        if powerOfTwo { scale = UniformFit.powerOfTwo(atLeast: scale) }
        guard !symmetric else {
            self.init(scale: scale, zeroPoint: middle, storage: storage, isPowerOfTwo: powerOfTwo)
            return
        }
        let zeroPoint = (lowest - low / Double(scale)).rounded(.toNearestOrEven)
        self.init(
            scale: scale, zeroPoint: Int32(min(max(zeroPoint, lowest), highest)), storage: storage,
            isPowerOfTwo: powerOfTwo)
    }
}
