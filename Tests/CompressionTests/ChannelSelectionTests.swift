import Tensors
import Testing

@testable import Compression
@testable import ModelGraph

/// A chain of layers: group i makes w_i channels; layer i costs w_{i-1} · w_i · area_i.
private struct Chain {
    let groups: ChannelGroups
    let parameters: [Parameter]
    let scores: [String: [Double]]

    init(widths: [Int], areas: [Int], scores: [[Double]], signatures: [String]? = nil) throws {
        var groups: [ChannelGroup] = []
        var costs: [ChannelCost] = []
        var parameters: [Parameter] = []
        for layer in 0...widths.count {
            let (inputs, outputs) = (layer == 0 ? 3 : widths[layer - 1], layer == widths.count ? 10 : widths[layer])
            parameters.append(Parameter(name: "w\(layer)", shape: try Shape([outputs, inputs]), role: .trainable))
            if layer < widths.count {
                groups.append(
                    ChannelGroup(
                        name: "w\(layer)", kind: .channels, channels: outputs,
                        members: [
                            member("w\(layer)", 0, .producer, outputs), member("w\(layer + 1)", 1, .consumer, outputs),
                        ], signature: signatures?[layer] ?? "", isNormalizedOver: false))
            }
            costs.append(
                ChannelCost(
                    node: "n\(layer)", macs: inputs * outputs * areas[layer],
                    factors: [
                        ChannelCost.Factor(extent: inputs, perChannel: layer == 0 ? [:] : ["w\(layer - 1)": 1]),
                        ChannelCost.Factor(extent: outputs, perChannel: layer == widths.count ? [:] : ["w\(layer)": 1]),
                    ]))
        }
        self.groups = ChannelGroups(groups: groups, costs: costs, fixed: [])
        self.parameters = parameters
        self.scores = Dictionary(uniqueKeysWithValues: zip(groups.map(\.name), scores))
    }

    func select(
        _ amount: ChannelAmount, _ scope: PruningScope, multiple: Int = 1, minimumShare: Double = 0
    ) throws(CompressionError) -> [String: [Int]] {
        try ChannelSelection.select(
            groups, among: groups.groups, scores: scores, amount: amount, scope: scope, multiple: multiple,
            minimumShare: minimumShare, parameters: parameters)
    }

    func widths(_ kept: [String: [Int]]) -> [Int] { groups.groups.map { kept[$0.name]?.count ?? $0.channels } }

    func macs(_ widths: [Int]) -> Double {
        groups.costs.enumerated().reduce(0.0) { sum, entry in
            let (layer, cost) = entry
            var value = Double(cost.macs)
            if layer > 0 { value *= Double(widths[layer - 1]) / Double(cost.factors[0].extent) }
            if layer < widths.count { value *= Double(widths[layer]) / Double(cost.factors[1].extent) }
            return sum + value
        }
    }

    /// Importance lost by keeping the best channels at these widths: of what each group has, since two layers run through
    /// each.
    func loss(_ widths: [Int]) -> Double {
        zip(groups.groups, widths).reduce(0) { sum, entry in
            let sorted = scores[entry.0.name]!.sorted()
            return sum + sorted[..<(entry.0.channels - entry.1)].reduce(0, +) / sorted.reduce(0, +)
        }
    }
}

struct ChannelSelectionTests {
    private func random(_ seed: UInt64, widths: [Int]? = nil) throws -> Chain {
        var random = SeededGenerator(seed: seed)
        let widths = widths ?? (0..<3).map { _ in 2 + random.index(below: 6) }
        return try Chain(
            widths: widths, areas: (0...widths.count).map { _ in 1 + random.index(below: 5) },
            scores: widths.map { width in (0..<width).map { _ in Double(random.uniform()) + 0.01 } })
    }

    /// By hand: half of the channels of each group, the weakest go, ties spare the earlier.
    @Test func localScopeKeepsTheSameShareOfEachGroup() throws {
        let chain = try Chain(
            widths: [4, 2], areas: [1, 1, 1], scores: [[3, 1, 2, 1], [5, 5]])
        #expect(try chain.select(.channels(0.5), .local) == ["w0": [0, 2], "w1": [0]])
        #expect(try chain.select(.channels(0.75), .local) == ["w0": [0, 1, 2]])
        #expect(try chain.select(.channels(1), .local) == [:])
    }

    @Test func globalScopeTakesTheWeakestOfAll() throws {
        let chain = try Chain(
            widths: [4, 4], areas: [1, 1, 1], scores: [[1, 2, 3, 4], [10, 20, 30, 40]])
        #expect(try chain.select(.channels(0.625), .global) == ["w0": [3]])
        // The last channel of a group stays.
        #expect(try chain.select(.channels(0.25), .global) == ["w0": [3], "w1": [3]])
    }

    @Test func isomorphicScopeSharesWithinASignature() throws {
        let chain = try Chain(
            widths: [4, 4, 4], areas: [1, 1, 1, 1], scores: [[1, 2, 3, 4], [10, 20, 30, 40], [5, 6, 7, 8]],
            signatures: ["a", "b", "a"])
        let kept = try chain.select(.channels(0.5), .isomorphic)
        #expect(kept == ["w0": [3], "w1": [2, 3], "w2": [1, 2, 3]])
    }

    /// On chains small enough to try all widths; the search is a heuristic, so a little above the optimum is allowed.
    @Test func globalBudgetsLoseHardlyMoreThanTheOptimum() throws {
        for seed in 0..<60 as Range<UInt64> {
            let chain = try random(seed)
            let share = 0.3 + 0.6 * Double(seed) / 60
            let limit = share * chain.macs(chain.groups.groups.map(\.channels))
            let found = chain.loss(chain.widths(try chain.select(.macs(share), .global)))
            let best = try optimum(chain, limit: limit)
            #expect(found >= best - 1e-9 && found <= best * 1.02 + 1e-9)
        }
    }

    @Test func budgetsAreKeptInEveryScopeAndUnit() throws {
        for seed in 100..<130 as Range<UInt64> {
            let chain = try random(seed, widths: [24, 9, 40, 16])
            let share = 0.2 + 0.6 * Double(seed - 100) / 30
            let full = chain.groups.groups.map(\.channels)
            let weights = full.reduce((total: 0, last: 3)) { ($0.total + $0.last * $1, $1) }
            let count = Double(weights.total + weights.last * 10)
            for scope in PruningScope.allCases {
                for multiple in [1, 4] {
                    let byMacs = chain.widths(try chain.select(.macs(share), scope, multiple: multiple))
                    #expect(chain.macs(byMacs) <= share * chain.macs(full) * (1 + 1e-12))
                    #expect(zip(byMacs, full).allSatisfy { $0 > 0 && ($0 % multiple == 0 || $0 == $1) })
                    for amount in [ChannelAmount.weights(share), .bytes(Int(4 * share * count))] {
                        let kept = chain.widths(try chain.select(amount, scope, multiple: multiple))
                        let left = kept.reduce((total: 0, last: 3)) { ($0.total + $0.last * $1, $1) }
                        #expect(Double(left.total + left.last * 10) <= share * count * (1 + 1e-12))
                    }
                }
            }
            // Equal shares: no group is further from the common share than a step of its own on either side.
            let local = zip(chain.widths(try chain.select(.macs(share), .local)), full)
            let shares = local.map { (Double($0) / Double($1), 1.5 / Double($1)) }
            for (a, stepA) in shares { for (b, stepB) in shares { #expect(abs(a - b) <= stepA + stepB) } }
            #expect(try chain.select(.macs(1), .global) == [:])
        }
    }

    /// Two groups of equal scores and costs, of which four layers make and read the first and two the second: only the
    /// second shrinks. A group of twice the width is worth half as much a channel.
    @Test func groupsAreWorthTheirLayers() throws {
        func group(_ name: String, _ channels: Int, _ layers: Int) -> ChannelGroup {
            ChannelGroup(
                name: name, kind: .channels, channels: channels,
                members: (0..<layers).map { member("\(name)\($0)", 0, .producer, channels) }, signature: "",
                isNormalizedOver: false)
        }
        func kept(_ a: ChannelGroup, _ b: ChannelGroup) throws -> [Int] {
            let costs = [a, b].map {
                ChannelCost(
                    node: $0.name, macs: 100 * $0.channels,
                    factors: [ChannelCost.Factor(extent: $0.channels, perChannel: [$0.name: 1])])
            }
            let parameters = try [a, b].flatMap { group in
                try group.members.map {
                    Parameter(name: $0.parameter, shape: try Shape([group.channels, 1]), role: .trainable)
                }
            }
            let groups = ChannelGroups(groups: [a, b], costs: costs, fixed: [])
            let kept = try ChannelSelection.select(
                groups, among: [a, b],
                scores: [
                    "a": [Double](repeating: 1, count: a.channels), "b": [Double](repeating: 1, count: b.channels),
                ],
                amount: .macs(0.75), scope: .global, parameters: parameters)
            return [a, b].map { kept[$0.name]?.count ?? $0.channels }
        }
        #expect(try kept(group("a", 8, 4), group("b", 8, 2)) == [8, 4])
        #expect(try kept(group("a", 4, 2), group("b", 8, 2)) == [4, 5])
    }

    /// A smaller budget keeps a part of what a larger one keeps, where shares are equal.
    @Test func widthsAreNested() throws {
        let chain = try random(7, widths: [12, 20, 6])
        let kept = try [0.2, 0.4, 0.7].map { try chain.select(.channels($0), .local) }
        for (small, large) in zip(kept, kept.dropFirst()) {
            for group in chain.groups.groups {
                let all = Array(0..<group.channels)
                #expect(Set(small[group.name] ?? all).isSubset(of: large[group.name] ?? all))
            }
        }
    }

    @Test func widthsAreMultiplesOrWhole() throws {
        let chain = try random(1, widths: [40, 10, 64])
        // Half of 40 lies between 16 and 32 (nearest: 16); 10 is below one multiple and stays; half of 64 is 32.
        #expect(chain.widths(try chain.select(.channels(0.5), .local, multiple: 16)) == [16, 10, 32])
        #expect(chain.widths(try chain.select(.channels(0.01), .local, multiple: 16)) == [16, 10, 16])
        // At least the share, rounded up to the multiple.
        #expect(chain.widths(try chain.select(.channels(0.01), .local, multiple: 8, minimumShare: 0.3)) == [16, 8, 24])
        #expect(chain.widths(try chain.select(.channels(0.01), .global, minimumShare: 1)) == [40, 10, 64])
    }

    /// A head of 8 dimensions: two make a multiple of 16.
    @Test func headsLeaveInStepsOfTheirDimensions() throws {
        let places = (0..<6).map { head in Array(8 * head..<8 * head + 8) }
        let heads = ChannelGroup(
            name: "q", kind: .heads, channels: 6,
            members: [
                ChannelMember(parameter: "q", axis: 0, side: .producer, places: places),
                ChannelMember(parameter: "o", axis: 1, side: .consumer, places: places),
            ], signature: "", isNormalizedOver: false)
        let parameters = [
            Parameter(name: "q", shape: [48, 5], role: .trainable),
            Parameter(name: "o", shape: [5, 48], role: .trainable),
            Parameter(name: "s", shape: [100], role: .statistic),
        ]
        func select(_ amount: ChannelAmount) throws -> [Int]? {
            try ChannelSelection.select(
                ChannelGroups(groups: [heads], costs: [], fixed: []), among: [heads],
                scores: ["q": [1, 6, 2, 5, 3, 4]], amount: amount, scope: .global, multiple: 16, parameters: parameters
            )["q"]
        }
        #expect(try select(.channels(0.5)) == [1, 3, 4, 5])
        #expect(try select(.weights(0.34)) == [1, 3])
        // 4 bytes of 2 · 16 · 5 weights and the statistic's 100 numbers.
        #expect(try select(.bytes(1040)) == [1, 3])
        #expect(throws: CompressionError.budgetTooSmall(asked: "1039 bytes", smallest: "1040")) {
            try select(.bytes(1039))
        }
    }

    @Test func whatCannotBeDoneIsSaidWithWhatCan() throws {
        let chain = try Chain(widths: [4, 4], areas: [1, 1, 1], scores: [[1, 1, 1, 1], [1, 1, 1, 1]])
        // 3·4 + 4·4 + 4·10 = 68; one channel each leaves 3 + 1 + 10 = 14.
        #expect(
            throws: CompressionError.budgetTooSmall(asked: "0.2 of the multiply-accumulates", smallest: "0.2059")
        ) { try chain.select(.macs(0.2), .global) }
        #expect(chain.widths(try chain.select(.macs(0.2059), .global)) == [1, 1])
        #expect(chain.widths(try chain.select(.macs(0.2059), .local)) == [1, 1])
        for amount in [ChannelAmount.macs(0), .weights(1.5), .channels(.nan), .bytes(0)] {
            #expect(throws: CompressionError.self) { try chain.select(amount, .local) }
        }
        #expect(throws: CompressionError.self) { try chain.select(.macs(0.5), .local, multiple: 0) }
        #expect(throws: CompressionError.unknownGroup(name: "w3", suggestion: "w0", known: ["w0", "w1"])) {
            try ChannelSelection.groups(named: ["w1", "w3"], in: chain.groups)
        }
        #expect(throws: CompressionError.self) {
            try ChannelSelection.select(
                chain.groups, among: chain.groups.groups, scores: ["w0": [1, 2, 3, 4], "w1": [1, .nan, 1, 1]],
                amount: .macs(0.5), scope: .local, parameters: chain.parameters)
        }
    }

    @Test func groupsThatAreNotAskedForStayWhole() throws {
        let chain = try random(3, widths: [8, 8])
        let kept = try ChannelSelection.select(
            chain.groups, among: [chain.groups.groups[1]], scores: chain.scores, amount: .channels(0.5), scope: .global,
            parameters: chain.parameters)
        #expect(Array(kept.keys) == ["w1"] && kept["w1"]?.count == 4)
    }

    /// Three of eight pass; the multiple of four takes the next in votes, of equal ones the earlier.
    @Test func votesAreRoundedUpToTheMultiple() throws {
        let group = ChannelGroup(
            name: "g", kind: .channels, channels: 8, members: [member("g", 0, .producer, 8)], signature: "",
            isNormalizedOver: false)
        let votes = NamedTensors([("g", Tensor([0.6, 0.2, 0.5, 1, 0, 0.5, 0.8, 0.1] as [Float], shape: [8]))])
        func kept(_ rule: VoteRule, _ multiple: Int, minimumShare: Double = 0) throws -> [Int]? {
            try ChannelSelection.kept(
                byVotes: votes, among: [group], rule: rule, multiple: multiple, minimumShare: minimumShare)["g"]
        }
        #expect(try kept(.majority, 1) == [0, 3, 6])
        #expect(try kept(.majority, 4) == [0, 2, 3, 6])
        #expect(try kept(.intersection, 1, minimumShare: 0.25) == [3, 6])
        #expect(try kept(.union, 4) == nil)
        #expect(try kept(.threshold(0.5), 1) == [0, 2, 3, 5, 6])
        let ballot = ChannelSelection.vote(of: ["g": [1, 7]], groups: [group])
        #expect(ballot["g"]?.floats == [0, 1, 0, 0, 0, 0, 0, 1])
        #expect(ChannelSelection.vote(of: [:], groups: [group])["g"]?.floats == [Float](repeating: 1, count: 8))
        #expect(throws: CompressionError.self) {
            try ChannelSelection.kept(byVotes: NamedTensors(), among: [group], rule: .majority)
        }
    }

    /// The least loss over all widths.
    private func optimum(_ chain: Chain, limit: Double) throws -> Double {
        var best = Double.infinity
        let full = chain.groups.groups.map(\.channels)
        for a in 1...full[0] {
            for b in 1...full[1] {
                for c in 1...full[2] where chain.macs([a, b, c]) <= limit { best = min(best, chain.loss([a, b, c])) }
            }
        }
        return best
    }
}
