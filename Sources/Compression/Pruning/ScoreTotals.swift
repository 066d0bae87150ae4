import ModelGraph
import Tensors

/// The running sums of a `Scorer`: everything but the engine. Sums are of x·targets over batches, in double, where the
/// product of two floats is exact.
final class ScoreTotals {
    private let statistic: ScoreStatistic
    private let layout: [(name: String, shape: Shape)]
    private let rate: Double
    private let masks: MaskSet
    /// As they stand: `movement` moves them.
    private var weights: NamedTensors
    /// By tensor of the layout; for gates by group.
    private var sums: [[Double]]
    /// The place of each tensor in the layout.
    private let places: [String: Int]
    private var gates: ChannelGates?
    private var targets = 0
    private var batchTargets = 0

    init(
        _ graph: Graph, masks: MaskSet, statistic: ScoreStatistic, groups: [ChannelGroup], onlyPrunable: Bool,
        rate: Double
    ) throws(CompressionError) {
        self.statistic = statistic
        self.rate = rate
        self.masks = masks
        layout = Scorer.layout(of: graph, statistic: statistic, groups: groups, onlyPrunable: onlyPrunable)
        guard !layout.isEmpty else {
            throw .noData(
                statistic == .channelGradients ? "scoring channels without groups" : "scoring a model without weights")
        }
        var places: [String: Int] = [:]
        for (index, entry) in layout.enumerated() {
            guard places.updateValue(index, forKey: entry.name) == nil else {
                throw .groupMisfit(group: entry.name, reason: "it is named twice")
            }
        }
        self.places = places
        sums = layout.map { [Double](repeating: 0, count: $0.shape.elementCount) }
        gates = statistic == .channelGradients ? try ChannelGates(graph, groups: groups) : nil
        switch statistic {
        case .gradientMoments, .gradientSquares: weights = NamedTensors()
        case .weightGradient, .movement, .channelGradients:
            weights = NamedTensors(
                graph.trainableNames.compactMap { name in graph.initializers[name].map { (name, $0) } })
            masks.apply(to: &weights)
        }
    }

    func startBatch() {
        batchTargets = 0
        gates?.clear()
    }

    /// Adds the gradient of one parameter; without a counted target the mean loss means nothing.
    func add(_ name: String, _ gradient: Tensor, targets: Int) {
        guard targets > 0 else { return }
        batchTargets = targets
        let size = Double(targets)
        switch statistic {
        case .weightGradient:
            guard let weight = weights[name] else { return }
            weight.withElements(as: Float.self) { weight in
                accumulate(name, gradient) { index, g in Double(weight[index]) * Double(g) * size }
            }
        case .gradientMoments:
            accumulate(name, gradient) { _, g in Double(g) * size }
            accumulate(ScoreStatistic.squareName(name), gradient) { _, g in Double(g) * Double(g) * size }
        case .gradientSquares:
            accumulate(ScoreStatistic.squareName(name), gradient) { _, g in Double(g) * Double(g) * size }
        case .channelGradients:
            guard let weight = weights[name] else { return }
            gates?.add(name, weight: weight, gradient: gradient)
        case .movement:
            guard places[name] != nil, let weight = weights[name] else { return }
            weight.withElements(as: Float.self) { weight in
                accumulate(name, gradient) { index, g in -rate * Double(weight[index]) * Double(g) }
            }
            move(name, against: gradient)
        }
    }

    func endBatch() {
        targets += batchTargets
        guard batchTargets > 0 else { return }
        gates?.addSquares(to: &sums, weight: Double(batchTargets))
    }

    /// The engine's own step; masked weights stay 0, where w·g is 0.
    private func move(_ name: String, against gradient: Tensor) {
        weights.modify(name) { weight in
            weight.withMutableElements(as: Float.self) { weight in
                gradient.withElements(as: Float.self) { gradient in
                    for index in weight.indices { weight[index] -= Float(rate) * gradient[index] }
                }
                masks.apply(to: weight, of: name)
            }
        }
    }

    @inline(__always)
    private func accumulate(_ name: String, _ gradient: Tensor, _ term: (Int, Float) -> Double) {
        guard let place = places[name] else { return }
        sums[place].withUnsafeMutableBufferPointer { sums in
            gradient.withElements(as: Float.self) { gradient in
                for index in sums.indices { sums[index] += term(index, gradient[index]) }
            }
        }
    }

    func tensors() throws(CompressionError) -> NamedTensors {
        guard targets > 0 else { throw .noData("scoring") }
        let bound = Double(ScoreStatistic.bound)
        var tensors = NamedTensors()
        for (index, entry) in layout.enumerated() {
            let scale =
                switch statistic {
                case .weightGradient, .movement: Float(1)
                case .gradientMoments: index < layout.count / 2 ? 1 : ScoreStatistic.squareScale
                case .gradientSquares: ScoreStatistic.squareScale
                case .channelGradients: ScoreStatistic.gateScale
                }
            let factor = Double(scale) / (statistic == .movement ? 1 : Double(targets))
            var isFinite = true
            let values = sums[index].map { sum in
                if !sum.isFinite { isFinite = false }
                return Float(min(max(sum * factor, -bound), bound))
            }
            guard isFinite else { throw .scoresNotFinite(tensor: entry.name) }
            tensors[entry.name] = Tensor(values, shape: entry.shape)
        }
        return tensors
    }
}
