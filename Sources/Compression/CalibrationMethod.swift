import ModelGraph
import Tensors

/// How the range of an activation is chosen from the fleet's histogram.
public enum CalibrationMethod: Sendable, Equatable {
    case minMax
    /// Cuts (100 − p)/100 of the values at each end, for signed distributions half of it at each.
    case percentile(Double)
    /// The clip that loses least information (Migacz 2017, "8-bit inference with TensorRT").
    case entropy
    /// The clip with the least expected squared quantization error.
    case meanSquaredError

    public static let names = ["minMax", "percentile", "entropy", "mse"]

    /// The method a plan or command line names.
    public static func named(_ name: String, percentile: Double) throws(CompressionError) -> CalibrationMethod {
        switch name {
        case "minMax": return .minMax
        case "percentile":
            guard (50...100).contains(percentile) else {
                throw .unknownMethod("percentile \(percentile) is out of range: it must lie between 50 and 100")
            }
            return .percentile(percentile)
        case "entropy": return .entropy
        case "mse": return .meanSquaredError
        default:
            throw .unknownMethod(
                "calibration '\(name)' is unknown"
                    + (NearestName.suggestion(for: name, in: names).map { "; did you mean '\($0)'?" } ?? "")
                    + "; available: \(names.joined(separator: ", "))")
        }
    }
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
            // One-sided activations (after Relu) have one tail only.
            let share = full.low < 0 && full.high > 0 ? tail / 2 : tail
            return (max(full.low, min(0, quantile(share))), min(full.high, max(0, quantile(1 - share))))
        case .entropy:
            let limit = entropyLimit()
            return (max(full.low, -limit), min(full.high, limit))
        case .meanSquaredError: return leastSquaresRange(full)
        }
    }

    /// Bins in order of value with the interval each covers.
    private var orderedBins: [(lower: Double, upper: Double, count: Double)] {
        var bins: [(Double, Double, Double)] = []
        for bin in (0..<Self.binsPerSign).reversed() where counts[bin] > 0 {
            let edges = Self.edges(bin)
            bins.append((-edges.upper, -edges.lower, Double(counts[bin])))
        }
        for bin in 0..<Self.binsPerSign where counts[Self.binsPerSign + bin] > 0 {
            let edges = Self.edges(bin)
            bins.append((edges.lower, edges.upper, Double(counts[Self.binsPerSign + bin])))
        }
        return bins
    }

    /// The value below which a share of all values lies, linear within a bin.
    func quantile(_ share: Double) -> Double {
        let target = share * Double(count)
        var seen = 0.0
        for bin in orderedBins {
            if seen + bin.count >= target, bin.count > 0 {
                let value = bin.lower + (bin.upper - bin.lower) * max(0, target - seen) / bin.count
                return min(max(value, Double(minimum)), Double(maximum))
            }
            seen += bin.count
        }
        return Double(maximum)
    }

    /// Grid search over clips of either end. Inside the range a value errs by step²/12 on average; outside by its
    /// distance to the edge.
    private func leastSquaresRange(_ full: (low: Double, high: Double)) -> (low: Double, high: Double) {
        let bins = orderedBins
        func error(_ low: Double, _ high: Double) -> Double {
            let step = (high - low) / 255
            return bins.reduce(0) { sum, bin in
                let center = (bin.lower + bin.upper) / 2
                let outside = max(low - center, center - high, 0)
                return sum + bin.count * (outside * outside + (outside == 0 ? step * step / 12 : 0))
            }
        }
        let steps = 64
        var best = (full, error(full.low, full.high))
        let lows = full.low < 0 ? (1...16).map { full.low * Double($0) / 16 } : [0]
        let highs = full.high > 0 ? (1...steps).map { full.high * Double($0) / Double(steps) } : [0]
        for low in lows {
            for high in highs where high > low {
                let candidate = error(low, high)
                if candidate < best.1 { best = ((low, high), candidate) }
            }
        }
        return best.0
    }

    /// TensorRT's search on 2,048 linear bins of |x|, into which the log-spaced bins are spread evenly.
    private func entropyLimit() -> Double {
        let limit = max(abs(Double(minimum)), abs(Double(maximum)))
        guard limit > 0 else { return 0 }
        let size = 2048
        var linear = [Double](repeating: 0, count: size)
        for bin in 0..<Self.binsPerSign {
            let weight = Double(counts[bin] + counts[Self.binsPerSign + bin])
            if weight == 0 { continue }
            let edges = Self.edges(bin)
            let lower = min(edges.lower, limit) / limit * Double(size)
            let upper = min(max(edges.upper, edges.lower), limit) / limit * Double(size)
            let (first, last) = (min(Int(lower), size - 1), min(Int(upper), size - 1))
            for index in first...last {
                let overlap = min(upper, Double(index + 1)) - max(lower, Double(index))
                linear[index] += upper > lower ? weight * max(0, overlap) / (upper - lower) : weight
            }
        }
        // Exact zeros say nothing about the clip, and a Relu makes many of them.
        linear[0] = linear[1]
        var best = (limit, Double.infinity)
        for width in stride(from: 128, through: size, by: 16) {
            let divergence = Self.divergence(linear, width: width)
            if divergence < best.1 { best = (limit * Double(width) / Double(size), divergence) }
        }
        return best.0
    }

    /// KL(P ‖ Q): P is the clipped histogram, Q the same through 128 levels.
    private static func divergence(_ linear: [Double], width: Int) -> Double {
        var reference = Array(linear[..<width])
        reference[width - 1] += linear[width...].reduce(0, +)
        let levels = 128
        var quantized = [Double](repeating: 0, count: width)
        for level in 0..<levels {
            let (start, end) = (level * width / levels, (level + 1) * width / levels)
            let used = (start..<end).filter { linear[$0] > 0 }
            let share = used.reduce(0) { $0 + linear[$1] } / Double(max(1, used.count))
            for index in used { quantized[index] = share }
        }
        let (total, quantizedTotal) = (reference.reduce(0, +), quantized.reduce(0, +))
        guard total > 0, quantizedTotal > 0 else { return .infinity }
        var sum = 0.0
        for index in 0..<width where reference[index] > 0 {
            let p = reference[index] / total
            let q = max(quantized[index] / quantizedTotal, 1e-9)
            sum += p * logarithm(p / q)
        }
        return sum
    }
}

extension ActivationQuantization {
    /// uint8, asymmetric: s = (max − min)/255, z = round(−min/s); 0 is exactly representable.
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
