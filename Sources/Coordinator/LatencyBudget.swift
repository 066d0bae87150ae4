import Compression
import Federation
import ModelGraph

extension ModelTimer {
    /// For budgets: models are written into the run's own folder.
    init(_ plan: Plan, directory: String) {
        self.init(directory: directory + "/out/candidates", opset: plan.export.opset)
    }
}

/// Why a budget of milliseconds cannot be kept.
enum LatencyError: Error, Equatable, CustomStringConvertible {
    /// Nothing was measured.
    case notMeasured(reason: String)
    case tooSlow(target: Double, fastest: Double, now: Double)

    var description: String {
        switch self {
        case .notMeasured(let reason):
            "a budget of milliseconds needs ONNX Runtime on this machine, and \(reason); mend that, or give 'macs' instead"
        case .tooSlow(let target, let fastest, let now):
            "\(target) ms cannot be met: this model takes \(now) ms here, and the fastest of the smaller ones that were tried "
                + "\(fastest) ms; raise 'milliseconds'"
        }
    }
}

/// Turns a budget of milliseconds into one of multiply-accumulates by measuring candidates on the runtime: multiply-
/// accumulates alone say little of time (widths that suit a kernel run twice as fast as one channel more).
struct LatencyBudget {
    let decider: MaskDecider
    let evidence: PruningEvidence
    /// Milliseconds of models, in their order.
    let time: ([Graph]) throws(LatencyError) -> [Double]
    /// How often the gap between the largest that is fast enough and the next is looked into.
    var refinements = 2

    /// A model that was tried.
    private struct Candidate {
        let macs: Int
        let milliseconds: Double
    }

    /// Shares of the multiply-accumulates that are tried first.
    static let shares = [0.85, 0.7, 0.55, 0.4, 0.3, 0.2, 0.12, 0.07]

    /// The multiply-accumulates at which the model takes `share` of the way from its time now to `target` milliseconds.
    /// - Throws: `LatencyError` where nothing can be measured, or nothing that was tried is fast enough;
    ///   `CompressionError` as decisions do.
    func amount(target: Double, share: Double) throws -> PruningAmount {
        let whole = try decider.graph.multiplyAccumulates()
        guard let now = try time([decider.graph]).first else { preconditionFailure("one model has one time") }
        let goal = now + (target - now) * share
        guard now > goal else { return .keep(1) }
        var tried = try candidates(Self.shares.map { Int($0 * Double(whole)) })
        for _ in 0..<refinements {
            guard let best = tried.first(where: { $0.milliseconds <= goal }) else { break }
            let above = tried.last { $0.macs > best.macs }?.macs ?? whole
            let gap = above - best.macs
            guard gap > whole / 100 else { break }
            tried += try candidates([1, 2, 3].map { best.macs + $0 * gap / 4 })
            tried.sort { $0.macs > $1.macs }
        }
        guard let best = tried.first(where: { $0.milliseconds <= goal }) else {
            let fastest = tried.map(\.milliseconds).min() ?? now
            throw LatencyError.tooSlow(target: target, fastest: min(fastest, now), now: now)
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
        guard !graphs.isEmpty else { return [] }
        return zip(sizes, try time(graphs)).map { Candidate(macs: $0, milliseconds: $1) }
    }
}
