import Compression
import Federation
import ModelGraph
import Shell

extension ModelTimer {
    /// For budgets: models are written into the run's own folder.
    init(_ plan: Plan, directory: String) {
        self.init(directory: directory + "/out/candidates", opset: plan.export.opset)
    }
}

/// Why a budget of milliseconds cannot be kept.
enum LatencyError: Error, Equatable, CustomStringConvertible {
    /// Not all that there was to measure was measured; `instead` is the budget that needs no measuring.
    case notMeasured(reason: String, instead: String = "macs")
    /// `fastest` is nil where no smaller model can be made.
    case tooSlow(target: Double, fastest: Double?, now: Double)

    var description: String {
        switch self {
        case .notMeasured(let reason, let instead):
            return "a budget of milliseconds cannot be kept: \(reason); mend that, or give '\(instead)' instead"
        case .tooSlow(let target, let fastest, let now):
            let tried = fastest.map { "the fastest of the smaller ones that were tried \($0) ms" }
            return "\(target) ms cannot be met: this model takes \(now) ms here, and "
                + "\(tried ?? "no smaller one can be made of it"); raise 'milliseconds'"
        }
    }
}

extension LatencyError {
    /// The same, with another budget that needs no measuring.
    func naming(_ instead: String) -> LatencyError {
        guard case .notMeasured(let reason, _) = self else { return self }
        return .notMeasured(reason: reason, instead: instead)
    }
}

/// Milliseconds of models, each made when it is its turn: together they may be larger than memory.
typealias ModelTiming = (_ models: [() throws -> Graph]) throws(LatencyError) -> [Double]

extension MaskDecider {
    /// What a decision is to leave. A budget of milliseconds is one of multiply-accumulates by what the runtime says of
    /// candidates.
    /// - Throws: as `LatencyBudget.amount`.
    func amount(
        _ amount: MaskDecision.Amount, _ evidence: PruningEvidence, time: @escaping ModelTiming
    ) throws -> PruningAmount {
        if case .milliseconds(let target, let share) = amount {
            return try LatencyBudget(decider: self, evidence: evidence, time: time).amount(target: target, share: share)
        }
        guard let amount = PruningAmount(amount) else { preconditionFailure("\(amount) is no amount") }
        return amount
    }
}

/// Turns a budget of milliseconds into one of multiply-accumulates by measuring candidates on the runtime: multiply-
/// accumulates alone say little of time (widths that suit a kernel run twice as fast as one channel more).
struct LatencyBudget {
    let decider: MaskDecider
    let evidence: PruningEvidence
    let time: ModelTiming

    /// A model that was tried.
    private struct Candidate {
        let macs: Int
        let milliseconds: Double
    }

    /// Shares of the multiply-accumulates that are tried first.
    static let shares = [0.85, 0.7, 0.55, 0.4, 0.3, 0.2, 0.12, 0.07]
    /// How often what lies between the first share that cannot be reached and the last that can is halved.
    private static let halvings = 4
    /// How often the gap between the largest that is fast enough and the next is looked into.
    private static let refinements = 2

    /// The multiply-accumulates at which the model takes `share` of the way from its time now to `target` milliseconds.
    /// - Throws: `LatencyError` where nothing can be measured, or nothing that was tried is fast enough;
    ///   `CompressionError` as decisions do.
    func amount(target: Double, share: Double) throws -> PruningAmount {
        let whole = try decider.graph.multiplyAccumulates()
        guard let now = try time([{ decider.graph }]).first else { preconditionFailure("one model has one time") }
        let goal = now + (target - now) * share
        guard now > goal else { return .keep(1) }
        var tried = try measured(try opening(whole))
        for _ in 0..<Self.refinements {
            guard let best = tried.first(where: { $0.milliseconds <= goal }) else { break }
            let above = tried.last { $0.macs > best.macs }?.macs ?? whole
            let gap = above - best.macs
            guard gap > whole / 100 else { break }
            tried += try measured([3, 2, 1].compactMap { try change(macs: best.macs + $0 * gap / 4) })
            tried.sort { $0.macs > $1.macs }
        }
        guard let best = tried.first(where: { $0.milliseconds <= goal }) else {
            throw LatencyError.tooSlow(target: target, fastest: tried.map(\.milliseconds).min(), now: now)
        }
        return .macs(best.macs)
    }

    private typealias Model = (macs: Int, change: StructureChange)

    /// Nil where so few multiply-accumulates cannot be reached.
    private func change(macs count: Int) throws -> Model? {
        do {
            return (count, try decider.change(evidence, amount: .macs(count)))
        } catch CompressionError.budgetTooSmall {
            return nil
        }
    }

    /// The shares that can be reached, and nearly the smallest model that can be made.
    private func opening(_ whole: Int) throws -> [Model] {
        var models: [Model] = []
        var unreached: Int?
        for share in Self.shares where unreached == nil {
            let count = Int(share * Double(whole))
            if let model = try change(macs: count) { models.append(model) } else { unreached = count }
        }
        guard var low = unreached else { return models }
        for _ in 0..<Self.halvings {
            let middle = (low + (models.last?.macs ?? whole)) / 2
            if let model = try change(macs: middle) { models.append(model) } else { low = middle }
        }
        return models
    }

    /// Measured in turns, largest first; of those that come out the same the largest.
    private func measured(_ models: [Model]) throws -> [Candidate] {
        var different: [Model] = []
        for model in models where different.last?.change != model.change { different.append(model) }
        guard !different.isEmpty else { return [] }
        let times = try time(different.map { model in { try model.change.apply(to: decider.graph).graph } })
        return zip(different, times).map { Candidate(macs: $0.macs, milliseconds: $1) }
    }
}
