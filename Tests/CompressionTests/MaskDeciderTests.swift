import Engine
import ModelGraph
import Tensors
import Testing

@testable import Compression

/// Criterion, scope, budget and votes brought together for one snapshot.
struct MaskDeciderTests {
    private static func resnet() throws -> Graph {
        try ModelBuilder.build(architecture: "resnet20", inputShape: [3, 8, 8], classes: 4, width: 8, seed: 5)
    }

    private static var batch: Batch {
        var random = SeededGenerator(seed: 2)
        let input = Tensor((0..<4 * 3 * 64).map { _ in random.uniform() - 0.5 }, shape: [4, 3, 8, 8])
        return Batch(input, targets: Tensor(elements: [0, 1, 2, 3] as [Int64], elementType: .int64, shape: [4]))
    }

    private static func decider(
        _ graph: Graph, _ unit: PrunedUnit, _ criterion: PruningCriterion = .l2, excluded: [String] = [],
        multiple: Int = 1, borders: BorderRule = .absorb
    ) throws -> MaskDecider {
        try MaskDecider(
            graph: graph, masks: MaskSet(),
            settings: PruningSettings(
                unit: unit, criterion: criterion, multiple: multiple, borders: borders, excluded: excluded))
    }

    @Test func budgetsOfMultiplyAccumulatesAreKept() throws {
        let graph = try Self.resnet()
        let whole = try graph.multiplyAccumulates()
        for share in [0.8, 0.5, 0.3] {
            let limit = Int(share * Double(whole))
            let change = try Self.decider(graph, .channels(.channels)).change(.weights, amount: .macs(limit))
            let left = try change.apply(to: graph).graph.multiplyAccumulates()
            #expect(left <= limit && Double(left) > 0.85 * Double(limit), "\(left) of \(limit)")
        }
    }

    @Test func budgetsOfWeightsAndBytesAreKept() throws {
        let graph = try Self.resnet()
        let decider = try Self.decider(graph, .channels(.channels))
        let weights = graph.trainableElementCount / 2
        let fewer = try decider.change(.weights, amount: .weights(weights)).apply(to: graph).graph
        #expect(fewer.trainableElementCount <= weights)
        let bytes = graph.serializedByteCount * 2 / 3
        let smaller = try decider.change(.weights, amount: .bytes(bytes)).apply(to: graph).graph
        #expect(smaller.serializedByteCount <= bytes)
        #expect(Double(smaller.serializedByteCount) > 0.9 * Double(bytes))
    }

    /// Constants of what leaves become biases, which selection cannot know of.
    @Test func biasesThatAbsorbCountAsBytes() throws {
        let graph = try Self.shifted()
        let decider = try Self.decider(graph, .channels(.channels))
        for share in [0.3, 0.5, 0.7] {
            let bytes = Int(share * Double(graph.serializedByteCount))
            let smaller = try decider.change(.weights, amount: .bytes(bytes)).apply(to: graph).graph
            #expect(smaller.serializedByteCount <= bytes)
        }
    }

    @Test func widthsAreMultiples() throws {
        let graph = try Self.resnet()
        let change = try Self.decider(graph, .channels(.channels), multiple: 4).change(.weights, amount: .keep(0.5))
        #expect(!change.isEmpty)
        #expect(change.channels.allSatisfy { $0.kept.count % 4 == 0 })
    }

    @Test func excludedGroupsStayByTheirNameAndByTheirMakers() throws {
        let graph = try Self.resnet()
        let groups = try graph.channelGroups().groups
        let group = try #require(groups.first { $0.makers.count > 1 })
        for name in [group.name, try #require(group.makers.last)] {
            let change = try Self.decider(graph, .channels(.channels), excluded: [name])
                .change(.weights, amount: .keep(0.5))
            #expect(!change.channels.contains { $0.group == group.name })
        }
    }

    @Test func namesThatDoNotExistAreRefusedWithTheNearest() throws {
        let graph = try Self.resnet()
        let group = try #require(try graph.channelGroups().groups.last).name
        let block = try #require(try graph.residualBlocks().last).name
        let weight = try #require(graph.prunableNames.last)
        for (unit, name) in [(PrunedUnit.channels(.channels), group), (.blocks, block), (.weights(.weight), weight)] {
            let error = #expect(throws: CompressionError.self) {
                try Self.decider(graph, unit, excluded: [name + "x"])
            }
            let text = error.map { "\($0)" } ?? ""
            #expect(text.contains("'\(name)x'") && text.contains("'\(name)'"), "\(text)")
        }
    }

    @Test func whatThereIsNoneOfIsRefused() throws {
        let mlp = try ModelBuilder.build(architecture: "mlp", inputShape: [4], classes: 2, width: 4, seed: 1)
        #expect(throws: CompressionError.nothingToPrune("residual block", reason: nil)) {
            try Self.decider(mlp, .blocks)
        }
        #expect(throws: CompressionError.nothingToPrune("attention heads", reason: nil)) {
            try Self.decider(mlp, .channels(.heads))
        }
    }

    @Test func aBudgetThatCannotBeMetSaysTheSmallest() throws {
        let graph = try Self.resnet()
        for unit in [PrunedUnit.channels(.channels), .blocks] {
            for amount in [PruningAmount.macs(10), .weights(10), .bytes(10)] {
                let error = #expect(throws: CompressionError.self) {
                    try Self.decider(graph, unit).change(.weights, amount: amount)
                }
                #expect(error.map { "\($0)" }?.contains("smallest") == true)
                #expect(throws: CompressionError.self) {
                    let decider = try Self.decider(graph, unit, .taylor)
                    _ = try decider.change(decider.rehearsalEvidence(), amount: amount)
                }
            }
        }
    }

    // MARK: Blocks

    @Test func theLeastImportantBlocksGo() throws {
        var graph = try Self.resnet()
        let blocks = try graph.residualBlocks()
        let weak = [blocks[1], blocks[4]]
        for name in weak.flatMap(\.parameters) {
            guard let tensor = graph.initializers[name], graph.trainableNames.contains(name) else { continue }
            graph.initializers[name] = Tensor(tensor.floats.map { $0 * 0.01 }, shape: tensor.shape)
        }
        let keep = Double(blocks.count - 2) / Double(blocks.count)
        let change = try Self.decider(graph, .blocks).change(.weights, amount: .keep(keep))
        #expect(change.blocks == weak.map(\.name).sorted())
        let weights = try Self.decider(graph, .blocks).change(
            .weights, amount: .macs(graph.multiplyAccumulates() * 3 / 4))
        #expect(try weights.apply(to: graph).graph.multiplyAccumulates() <= graph.multiplyAccumulates() * 3 / 4)
        #expect(!weights.blocks.isEmpty)
    }

    // MARK: Borders

    /// Shifts above 0 behind some channels of every normalisation: dead, they emit them through the ReLU.
    private static func shifted(_ shifts: (Int) -> Bool = { _ in true }) throws -> Graph {
        var graph = try resnet()
        for node in graph.nodes where node.operatorType == "BatchNormalization" {
            guard let shift = graph.initializers[node.inputs[2]] else { continue }
            graph.initializers[node.inputs[2]] = Tensor(
                shift.floats.indices.map { shifts($0) ? 0.3 : 0 }, shape: shift.shape)
        }
        return graph
    }

    @Test func channelsWhoseConstantMeetsABorderMayStay() throws {
        let graph = try Self.shifted()
        let absorbed = try Self.decider(graph, .channels(.channels)).change(.weights, amount: .keep(0.5))
        #expect(try absorbed.apply(to: graph).notes.contains { $0.reason == .border })
        let kept = try Self.decider(graph, .channels(.channels), borders: .keep).change(.weights, amount: .keep(0.5))
        #expect(try kept.apply(to: graph).notes.allSatisfy { $0.reason != .border })
        #expect(kept.channels.count < absorbed.channels.count)
    }

    /// Every third channel must stay: widths are still multiples, and the budget is met by the others.
    @Test func budgetAndMultipleHoldWhereChannelsMustStay() throws {
        let graph = try Self.shifted { $0 % 3 == 1 }
        let limit = Int(0.6 * Double(try graph.multiplyAccumulates()))
        let decider = try Self.decider(graph, .channels(.channels), multiple: 2, borders: .keep)
        let change = try decider.change(.weights, amount: .macs(limit))
        let pruned = try change.apply(to: graph)
        #expect(pruned.notes.allSatisfy { $0.reason != .border })
        #expect(try pruned.graph.multiplyAccumulates() <= limit)
        #expect(!change.channels.isEmpty && change.channels.allSatisfy { $0.kept.count % 2 == 0 })
        // Where too many must stay, the smallest that can be met says so.
        let error = #expect(throws: CompressionError.self) {
            try Self.decider(Self.shifted(), .channels(.channels), borders: .keep).change(
                .weights, amount: .macs(limit / 2))
        }
        guard case .budgetTooSmall? = error else {
            Issue.record("\(String(describing: error))")
            return
        }
    }

    // MARK: What workers send

    @Test(arguments: [PrunedUnit.weights(.weight), .channels(.channels), .blocks])
    func scorersYieldWhatTheLayoutSays(unit: PrunedUnit) throws {
        let graph = try Self.resnet()
        for criterion in [PruningCriterion.taylor, .stability, .fisher, .movement, .gradientNorm] {
            if criterion == .gradientNorm, unit != .channels(.channels) { continue }
            let decider = try Self.decider(graph, unit, criterion)
            var scorer = try decider.scorer(regrows: false, learningRate: 0.01)
            try scorer.add(Self.batch, loss: .crossEntropy)
            let scores = try scorer.scores()
            let layout = decider.statisticLayout(regrows: false)
            #expect(scores.names == layout.map(\.name))
            #expect(scores.ordered.map(\.tensor.shape) == layout.map(\.shape))
            if case .weights = unit {
                let mask = try decider.mask(.statistics(scores), amount: .sparsity(0.5))
                let dead = mask.bitmaps.values.reduce(0) { $0 + $1.count - $1.populationCount }
                #expect(abs(2 * dead - mask.bitmaps.values.reduce(0) { $0 + $1.count }) <= 1)
            } else {
                #expect(!(try decider.change(.statistics(scores), amount: .keep(0.5)).isEmpty))
            }
        }
    }

    /// A fleet of one that votes decides as its scores would; two that disagree keep both masks' union, or what they share.
    @Test(arguments: [PrunedUnit.weights(.weight), .channels(.channels)])
    func votesDecide(unit: PrunedUnit) throws {
        let graph = try Self.resnet()
        let decider = try Self.decider(graph, unit, .l1)
        let amount: PruningAmount = if case .weights = unit { .sparsity(0.5) } else { .keep(0.5) }
        let own = try decider.votes(NamedTensors(), amount: amount)
        #expect(own.names == (try decider.voteLayout()).map(\.name))
        let other = NamedTensors(
            own.ordered.map { ($0.name, Tensor($0.tensor.floats.map { 1 - $0 }, shape: $0.tensor.shape)) })
        let mean = NamedTensors(
            own.ordered.map {
                ($0.name, Tensor($0.tensor.floats.map { 0.6 * $0 + 0.4 * (1 - $0) }, shape: $0.tensor.shape))
            })
        func alive(_ votes: NamedTensors, _ rule: VoteRule) throws -> Int {
            if case .weights = unit {
                return try decider.mask(.votes(votes, rule), amount: amount).bitmaps.values.reduce(0) {
                    $0 + $1.populationCount
                }
            }
            let change = try decider.change(.votes(votes, rule), amount: amount)
            return own.elementCount - change.channels.reduce(0) { $0 + $1.width - $1.kept.count }
        }
        let ones = own.ordered.reduce(0) { $0 + $1.tensor.floats.count { $0 == 1 } }
        #expect(try alive(own, .majority) == ones)
        #expect(try alive(mean, .majority) == ones)
        #expect(try alive(mean, .union) == own.elementCount)
        #expect(try alive(other, .union) >= own.elementCount - ones)
        // Something of every layer stays.
        let shared = try alive(mean, .intersection)
        #expect(shared > 0 && shared < ones)
    }

    @Test func whatRevivesKeepsTheSparsity() throws {
        let graph = try Self.resnet()
        let first = try Self.decider(graph, .weights(.weight)).mask(.weights, amount: .sparsity(0.9))
        let decider = try MaskDecider(
            graph: graph, masks: first, settings: PruningSettings(unit: .weights(.weight), criterion: .l2))
        var scorer = try decider.scorer(regrows: true, learningRate: 0.01)
        try scorer.add(Self.batch, loss: .crossEntropy)
        let next = try decider.mask(.statistics(scorer.scores()), amount: .sparsity(0.9), regrow: 0.3)
        func alive(_ masks: MaskSet) -> Int { masks.bitmaps.values.reduce(0) { $0 + $1.populationCount } }
        #expect(alive(next) == alive(first))
        #expect(next.bitmaps != first.bitmaps)
        #expect(next.epoch == first.epoch + 1)
    }
}
