import Engine
import ModelGraph
import Tensors

/// On a worker: what a criterion needs to know of the loss, from this worker's data. Owned by one thread.
///
/// Gradients are of a batch's mean loss in evaluation mode, as the model will be used, but for `movement`, which trains.
/// Memory beside the engine's: sums in double of what is measured, one gradient at a time and, for `movement`, the moving
/// weights.
public struct Scorer: ~Copyable {
    private let trainer: Trainer
    private let statistic: ScoreStatistic
    private let totals: ScoreTotals

    /// - Parameters:
    ///   - graph: with the snapshot's values.
    ///   - masks: dead weights count as 0, so w·g of theirs is 0; gradients of theirs are measured.
    ///   - groups: whose channels `channelGradients` measures; nothing to the others.
    ///   - onlyPrunable: whether to measure only `graph.prunableNames`, which is all that masks of weights need; channels
    ///     and blocks need every trainable parameter.
    ///   - learningRate: of `movement`'s steps; nothing to the others.
    /// - Throws: `EngineError` as `Trainer`; `CompressionError.valueOutOfRange` for a learning rate that is not positive,
    ///   `.groupMisfit` for groups of another graph, `.noData` for nothing to measure.
    public init(
        _ graph: Graph, masks: MaskSet, statistic: ScoreStatistic, groups: [ChannelGroup] = [],
        onlyPrunable: Bool = false, learningRate: Double = 0.01
    ) throws {
        let moves = statistic == .movement
        guard !moves || learningRate > 0 && learningRate.isFinite else {
            throw CompressionError.valueOutOfRange(
                "the learning rate of criterion 'movement' is \(learningRate): give a positive number")
        }
        let totals = try ScoreTotals(
            graph, masks: masks, statistic: statistic, groups: groups, onlyPrunable: onlyPrunable, rate: learningRate)
        let trainer = try Trainer(
            graph, optimizer: OptimizerSettings(learningRate: moves ? learningRate : 0), masks: masks)
        self.trainer = trainer
        self.statistic = statistic
        self.totals = totals
    }

    /// Adds a batch; one without a counted target counts nothing.
    /// - Parameter teacherLogits: for a loss with a teacher.
    public mutating func add(_ batch: Batch, loss: Loss, teacherLogits: Tensor? = nil) throws(EngineError) {
        let totals = totals
        totals.startBatch()
        if statistic == .movement {
            try trainer.step(batch, loss: loss, teacherLogits: teacherLogits) { name, gradient, result in
                totals.add(name, gradient, targets: result.targets)
            }
        } else {
            try trainer.visitGradients(batch, loss: loss, teacherLogits: teacherLogits, training: false) {
                name, gradient, result in totals.add(name, gradient, targets: result.targets)
            }
        }
        totals.endBatch()
    }

    /// The statistic's tensors, in the order of `layout`, each element within ±256 (`ScoreStatistic.bound`).
    /// - Throws: `CompressionError.noData` before the first counted target, `.scoresNotFinite` for gradients beyond floats.
    public func scores() throws(CompressionError) -> NamedTensors { try totals.tensors() }

    /// Names and shapes of the tensors of a statistic, the same for every worker of a graph; the arguments are those of
    /// `init`. Groups are only looked at by `channelGradients`.
    public static func layout(
        of graph: Graph, statistic: ScoreStatistic, groups: [ChannelGroup] = [], onlyPrunable: Bool = false
    ) -> [(name: String, shape: Shape)] {
        let prunable = Set(onlyPrunable ? graph.prunableNames : [])
        let measured = graph.parameters.filter {
            $0.role == .trainable && (!onlyPrunable || prunable.contains($0.name))
        }
        let plain = measured.map { (name: $0.name, shape: $0.shape) }
        let squares = measured.map { (name: ScoreStatistic.squareName($0.name), shape: $0.shape) }
        switch statistic {
        case .weightGradient, .movement: return plain
        case .gradientMoments: return plain + squares
        case .gradientSquares: return squares
        case .channelGradients:
            return groups.compactMap { group in (try? Shape([group.channels])).map { (group.name, $0) } }
        }
    }
}
