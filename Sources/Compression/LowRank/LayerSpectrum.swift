/// One way to factorize a layer, what it loses and what it leaves.
struct RankCandidate: Sendable, Equatable {
    var method: FactorizationMethod
    var rank: FactorRank
    /// The share of energy that is cut; of Tucker-2 a bound from above.
    var lost: Double
    var parameters: Int
    var macs: Int
}

/// What a method loses at each rank of a layer.
struct LayerSpectrum {
    let layer: FactorizableLayer
    let method: FactorizationMethod
    /// For each unfolding, the share of energy behind the first r singular values, r from 0 on.
    private let tails: [[Double]]

    /// - Parameter energies: squared singular values, falling: one list, or for Tucker-2 those of inputs and outputs.
    init(layer: FactorizableLayer, method: FactorizationMethod, energies: [[Double]]) {
        (self.layer, self.method) = (layer, method)
        tails = energies.map { energies in
            let total = energies.reduce(0, +)
            var (tail, sum) = ([0.0], 0.0)
            for energy in energies.reversed() {
                sum += energy
                tail.append(total > 0 ? sum / total : 0)
            }
            return tail.reversed()
        }
    }

    private func lost(_ rank: FactorRank) -> Double {
        switch rank {
        case .single(let rank): tails[0][rank]
        case .pair(let input, let output): min(1, tails[0][input] + tails[1][output])
        }
    }

    private func candidate(_ rank: FactorRank) -> RankCandidate {
        let cost = layer.cost(method, rank)
        return RankCandidate(
            method: method, rank: rank, lost: lost(rank), parameters: cost.parameters, macs: cost.macs)
    }

    /// The smallest rank that keeps a share of the energy, rounded up to a multiple where that saves; nil where it saves
    /// nothing either way.
    func candidate(energy: Double, multiple: Int) -> RankCandidate? {
        // What is cut of two unfoldings adds up at most; rounding must not cost a rank.
        let allowed = (1 - energy) / Double(tails.count) + 1e-12
        let ranks = tails.map { tail in max(1, tail.firstIndex { $0 <= allowed } ?? tail.count - 1) }
        return candidate(
            rank: ranks.count == 1 ? .single(ranks[0]) : .pair(input: ranks[0], output: ranks[1]), multiple: multiple)
    }

    /// A rank rounded up to a multiple where that saves, or as it is where only that does.
    func candidate(rank: FactorRank, multiple: Int) -> RankCandidate? {
        [layer.rounded(rank, method, multiple: multiple), layer.consistent(rank)].first {
            layer.saves(method, $0)
        }.map(candidate)
    }

    /// All that save, in multiples where a multiple saves.
    func candidates(multiple: Int) -> [RankCandidate] {
        let found = tails.count == 1 ? single(multiple) : pairs(multiple)
        return found.isEmpty && multiple > 1 ? candidates(multiple: 1) : found
    }

    private func single(_ multiple: Int) -> [RankCandidate] {
        stride(from: multiple, to: tails[0].count, by: multiple).map { FactorRank.single($0) }.filter {
            layer.saves(method, $0)
        }.map(candidate)
    }

    /// A path from the largest ranks down, each step in the axis in which it loses less for what it saves.
    private func pairs(_ multiple: Int) -> [RankCandidate] {
        let limits = tails.map { $0.count - 1 }
        var at = limits.map { $0 / multiple * multiple }
        guard at[0] > 0, at[1] > 0 else { return [] }
        var found: [RankCandidate] = []
        while true {
            let here = FactorRank.pair(input: at[0], output: at[1])
            if layer.consistent(here) == here, layer.saves(method, here) { found.append(candidate(here)) }
            let now = layer.cost(method, here).parameters
            var best: (axis: Int, slope: Double)?
            for axis in 0..<2 where at[axis] > multiple {
                var next = at
                next[axis] -= multiple
                let saved = now - layer.cost(method, .pair(input: next[0], output: next[1])).parameters
                let slope = (tails[axis][next[axis]] - tails[axis][at[axis]]) / Double(max(1, saved))
                if slope < best?.slope ?? .infinity { best = (axis, slope) }
            }
            guard let best else { return found }
            at[best.axis] -= multiple
        }
    }
}

extension FactorizableLayer {
    /// The rank rounded up to multiples, as far as the layer's extents allow.
    func rounded(_ rank: FactorRank, _ method: FactorizationMethod, multiple: Int) -> FactorRank {
        func up(_ value: Int, _ limit: Int) -> Int { min(limit, (value + multiple - 1) / multiple * multiple) }
        switch (rank, largestRank(method)) {
        case (.single(let rank), .single(let limit)): return .single(up(rank, limit))
        case (.pair(let input, let output), .pair(let inputLimit, let outputLimit)):
            return consistent(.pair(input: up(input, inputLimit), output: up(output, outputLimit)))
        default: preconditionFailure("rank \(rank) does not fit \(method.rawValue)")
        }
    }

    /// A pair in which neither side is wider than the kernel's elements times the other: more has no use.
    func consistent(_ rank: FactorRank) -> FactorRank {
        guard case .pair(let input, let output) = rank else { return rank }
        return .pair(input: min(input, output * kernelElements), output: min(output, input * kernelElements))
    }
}
