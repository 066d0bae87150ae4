import Compression
import Federation
import ModelGraph

extension ModelTimer {
    /// For budgets: models are written into the run's own folder.
    init(_ plan: Plan, directory: String) {
        self.init(directory: directory + "/out/candidates", opset: plan.export.opset)
    }
}

/// Turns a budget of milliseconds into one of multiply-accumulates by measuring candidates on the runtime: multiply-
/// accumulates alone say little of time (widths that suit a kernel run twice as fast as one channel more).
struct LatencyBudget {
    let decider: MaskDecider
    let evidence: PruningEvidence
    let timer: ModelTimer

    /// A model that was tried.
    private struct Candidate {
        let macs: Int
        let milliseconds: Double
    }

    /// Shares of the multiply-accumulates that are tried first.
    private static let shares = [0.85, 0.7, 0.55, 0.4, 0.3, 0.2, 0.12, 0.07]
    private static let refinements = 2

    /// The multiply-accumulates at which the model takes `share` of the way from its time now to `target` milliseconds.
    /// - Throws: `CoordinatorError.model` where nothing can be measured, or nothing that was tried is fast enough.
    func amount(target: Double, share: Double) throws -> PruningAmount {
        let whole = try decider.graph.multiplyAccumulates()
        guard let now = timer.measure(graphs: [decider.graph])?.first else {
            throw CoordinatorError.needsRuntime
        }
        let goal = now + (target - now) * share
        guard now > goal else { return .keep(1) }
        var tried = try candidates(Self.shares.map { Int($0 * Double(whole)) })
        for _ in 0..<Self.refinements {
            guard let best = tried.first(where: { $0.milliseconds <= goal }) else { break }
            let above = tried.last { $0.macs > best.macs }?.macs ?? whole
            let gap = above - best.macs
            guard gap > whole / 100 else { break }
            tried += try candidates([1, 2, 3].map { best.macs + $0 * gap / 4 })
            tried.sort { $0.macs > $1.macs }
        }
        guard let best = tried.first(where: { $0.milliseconds <= goal }) else {
            let least = tried.map(\.milliseconds).min() ?? now
            throw CoordinatorError.model(
                "\(target) ms cannot be met: the fastest of the models that were tried takes \(least) ms, this one \(now) ms"
            )
        }
        return .macs(best.macs)
    }

    /// Those that can be made, largest first, measured in turns.
    private func candidates(_ macs: [Int]) throws -> [Candidate] {
        var graphs: [Graph] = []
        var sizes: [Int] = []
        for count in macs {
            let change: StructureChange
            do {
                change = try decider.change(evidence, amount: .macs(count))
            } catch CompressionError.budgetTooSmall {
                continue
            }
            graphs.append(try change.apply(to: decider.graph).graph)
            sizes.append(count)
        }
        guard !graphs.isEmpty, let times = timer.measure(graphs: graphs) else { return [] }
        return zip(sizes, times).map { Candidate(macs: $0, milliseconds: $1) }
    }
}
