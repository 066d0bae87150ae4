/// Magnitudes spread evenly between two edges.
struct MagnitudeBin: Sendable, Equatable {
    var lower: Double
    var upper: Double
    var count: Double

    var mean: Double { (lower + upper) / 2 }
    /// Of a uniform density between the edges.
    var meanSquare: Double { (lower * lower + lower * upper + upper * upper) / 3 }
}

/// Magnitudes of a tensor or of the largest part of it, in ascending bins. All sums are over elements.
struct MagnitudeBins: Sendable, Equatable {
    /// Bins that hold less than this share of Σx² together are one: they weigh less than any format's error.
    private static let negligibleShare = 0x1p-20

    let bins: [MagnitudeBin]
    let count: Double
    /// Σ|x|
    let sum: Double
    /// Σx²
    let squares: Double

    init(_ bins: [MagnitudeBin]) {
        self.bins = bins
        count = bins.reduce(0) { $0 + $1.count }
        sum = bins.reduce(0) { $0 + $1.count * $1.mean }
        squares = bins.reduce(0) { $0 + $1.count * $1.meanSquare }
    }

    init(_ profile: MagnitudeProfile) {
        var found: [MagnitudeBin] = []
        for (bin, count) in profile.counts.enumerated() where count > 0 && bin > 0 {
            found.append(
                MagnitudeBin(
                    lower: MagnitudeProfile.lowerEdge(ofBin: bin), upper: MagnitudeProfile.lowerEdge(ofBin: bin + 1),
                    count: Double(count)))
        }
        let negligible = found.reduce(0) { $0 + $1.count * $1.meanSquare } * Self.negligibleShare
        var small = MagnitudeBin(lower: 0, upper: 0, count: 0)
        var squares = 0.0
        var first = 0
        while first < found.count {
            squares += found[first].count * found[first].meanSquare
            guard squares <= negligible else { break }
            small.upper = found[first].upper
            small.count += found[first].count
            first += 1
        }
        var bins: [MagnitudeBin] = []
        if profile.counts[0] > 0 { bins.append(MagnitudeBin(lower: 0, upper: 0, count: Double(profile.counts[0]))) }
        if small.count > 0 { bins.append(small) }
        self.init(bins + found[first...])
    }

    /// The `kept` largest magnitudes, and Σx² of the others. The bin between them is split where so many lie above.
    func largest(_ kept: Int) -> (kept: MagnitudeBins, droppedSquares: Double) {
        var wanted = Double(kept)
        var chosen: [MagnitudeBin] = []
        var dropped = 0.0
        for bin in bins.reversed() {
            let taken = min(wanted, bin.count)
            wanted -= taken
            let edge = bin.upper - (bin.upper - bin.lower) * (taken / bin.count)
            if taken > 0 { chosen.append(MagnitudeBin(lower: edge, upper: bin.upper, count: taken)) }
            if taken < bin.count {
                let rest = MagnitudeBin(lower: bin.lower, upper: edge, count: bin.count - taken)
                dropped += rest.count * rest.meanSquare
            }
        }
        return (MagnitudeBins(chosen.reversed()), dropped)
    }

    /// How many elements exceed a magnitude.
    func count(above magnitude: Double) -> Int {
        var above = 0.0
        for bin in bins where bin.upper > magnitude {
            above += bin.lower >= magnitude ? bin.count : bin.count * (bin.upper - magnitude) / (bin.upper - bin.lower)
        }
        return Int(above.rounded(.down))
    }

    /// Four equally likely largest magnitudes of a block: the eighths 1, 3, 5 and 7 of their distribution.
    ///
    /// A block is `size` draws without replacement. P(all are at most x) = ∏ (n(x) − i)/(n − i) for i < size, which is
    /// close to ((n(x) − m)/(n − m))^size with m in the middle of the i.
    func blockMaxima(_ size: Int) -> [Double] {
        guard let top = bins.last else { return [] }
        guard Double(size) < count else {
            return [top.count > 1 ? top.upper - (top.upper - top.lower) / (top.count + 1) : top.mean]
        }
        let middle = Double(size - 1) / 2
        var maxima: [Double] = []
        var below = 0.0
        var reached = 0.0
        for bin in bins {
            below += bin.count
            let share = max(0, (below - middle) / (count - middle))
            let probability = power(min(1, share), size)
            while maxima.count < 4, case let wanted = (2 * Double(maxima.count) + 1) / 8, wanted <= probability {
                maxima.append(bin.lower + (bin.upper - bin.lower) * (wanted - reached) / (probability - reached))
            }
            reached = probability
        }
        while maxima.count < 4 { maxima.append(top.upper) }
        return maxima
    }
}

/// x^n by repeated squaring: the same on every machine, which libm's is not.
func power(_ base: Double, _ exponent: Int) -> Double {
    var result = 1.0
    var square = base
    var rest = exponent
    while rest > 0 {
        if rest & 1 == 1 { result *= square }
        square *= square
        rest >>= 1
    }
    return result
}

/// The positive n-th root by bisection, for x >= 1.
func root(_ x: Double, _ n: Int) -> Double {
    var low = 1.0
    var high = max(1, x)
    for _ in 0..<60 {
        let middle = (low + high) / 2
        if power(middle, n) <= x { low = middle } else { high = middle }
    }
    return low
}
