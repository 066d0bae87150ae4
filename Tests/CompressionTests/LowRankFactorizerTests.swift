import Engine
import ModelGraph
import Tensors
import Testing

@testable import Compression

@Suite struct LowRankFactorizerTests {
    private static func model(_ architecture: String = "cnn") throws -> Graph {
        switch architecture {
        case "cnn":
            try ModelBuilder.build(architecture: "cnn", inputShape: [1, 12, 12], classes: 10, width: 16, seed: 1)
        default:
            try ModelBuilder.build(
                architecture: architecture, inputShape: [3, 12, 12], classes: 10, width: 16, seed: 1)
        }
    }

    private static func factorize(_ graph: Graph, _ settings: FactorizationSettings) throws -> FactorizedModel {
        let found = try Factorizer(graph: graph, settings: settings).factorize()
        let inputs = try RandomBatch.inputs(for: graph, rows: 2)
        let logits = try Executable(found.graph).logits(inputs)
        #expect(logits.shape == [2, 10] && logits.floats.allSatisfy(\.isFinite))
        // The report's figures are the graph's.
        let saved = found.layers.reduce(0) { $0 + $1.parametersBefore - $1.parametersAfter }
        #expect(graph.trainableElementCount - found.graph.trainableElementCount == saved)
        let fewer = found.layers.reduce(0) { $0 + $1.macsBefore - $1.macsAfter }
        #expect(try graph.multiplyAccumulates() - found.graph.multiplyAccumulates() == fewer)
        #expect(found.layers.allSatisfy { $0.parametersAfter < $0.parametersBefore && $0.macsAfter < $0.macsBefore })
        return found
    }

    @Test(arguments: [RankBudget.Measure.parameters, .macs], [FactorizationChoice.auto, .spatial, .tucker])
    func budgetsAreMet(_ measure: RankBudget.Measure, _ choice: FactorizationChoice) throws {
        for architecture in ["cnn", "resnet20"] {
            let graph = try Self.model(architecture)
            let found = try Self.factorize(
                graph,
                FactorizationSettings(rule: .budget(RankBudget(measure, share: 0.6)), choice: choice, multiple: 4))
            let (before, after) =
                measure == .parameters
                ? (graph.trainableElementCount, found.graph.trainableElementCount)
                : (try graph.multiplyAccumulates(), try found.graph.multiplyAccumulates())
            let left = Double(after) / Double(before)
            #expect(left <= 0.6 && left > 0.5)
            #expect(
                try Self.factorize(
                    graph,
                    FactorizationSettings(
                        rule: .budget(RankBudget(measure, share: 0.6)), choice: choice, multiple: 4)
                ).graph == found.graph)
        }
    }

    @Test func aBudgetOfSomeLayersIsTheirs() throws {
        let graph = try Self.model()
        let found = try Self.factorize(
            graph,
            FactorizationSettings(
                rule: .budget(RankBudget(.parameters, share: 0.5, scope: .layers)), only: ["fc1", "fc2.weight"]))
        let dense = ["fc1.weight", "fc2.weight"].reduce(0) { $0 + (graph.initializers[$1]?.elementCount ?? 0) }
        let saved = found.layers.reduce(0) { $0 + $1.parametersBefore - $1.parametersAfter }
        #expect(2 * saved >= dense)
        #expect(found.layers.allSatisfy { $0.name.hasPrefix("fc") && $0.method == .svd })
        #expect(found.graph.initializers["conv2.weight"] == graph.initializers["conv2.weight"])
    }

    @Test func energyIsKeptAndFullEnergySavesNothing() throws {
        let graph = try Self.model()
        for choice in FactorizationChoice.allCases {
            let found = try Self.factorize(
                graph, FactorizationSettings(rule: .energy(0.6), choice: choice, multiple: 1))
            #expect(found.layers.allSatisfy { $0.energyKept >= 0.6 - 1e-9 && !$0.isDataAware })
            #expect(found.layers.contains { $0.method == .spatial } || choice != .spatial)
            #expect(found.layers.contains { $0.method == .tucker } || choice != .tucker)
        }
        #expect(throws: CompressionError.self) { try Self.factorize(graph, FactorizationSettings(rule: .energy(1))) }
        let error = #expect(throws: CompressionError.self) {
            try Self.factorize(graph, FactorizationSettings(rule: .energy(0.999), only: ["fc1"]))
        }
        #expect(
            error?.description
                == "'fc1.weight' cannot be factorized: no such rank saves both parameters and multiply-accumulates")
    }

    /// A planted rank is found by EVBMF in the model's own layer.
    @Test func noiseIsLeftOut() throws {
        var graph = try Self.model()
        var random = SeededGenerator(seed: 2)
        let planted = LowRankReference.product(
            LowRankReference.matrix(128, 6, &random), LowRankReference.matrix(6, 288, &random))
        let noise = LowRankReference.noise(128 * 288, &random)
        graph.initializers["fc1.weight"] = FactorizableLayer.tensor(
            Matrix(rows: 128, columns: 288, values: zip(planted.values, noise).map { $0 + 0.2 * $1 }), [128, 288])
        let found = try Self.factorize(graph, FactorizationSettings(rule: .evbmf, multiple: 1, only: ["fc1"]))
        #expect(found.layers.map(\.rank) == [.single(6)])
    }

    /// A convolution of one input channel has no rank that saves.
    @Test func aLayerAskedForThatSavesNothingIsNamed() throws {
        let graph = try ModelBuilder.build(
            architecture: "cnn", inputShape: [1, 12, 12], classes: 2, width: 1, seed: 1)
        for rule in [RankRule.budget(RankBudget(.parameters, share: 0.9)), .energy(0.5), .evbmf] {
            let error = #expect(throws: CompressionError.self) {
                try Self.factorize(graph, FactorizationSettings(rule: rule, choice: .tucker, only: ["conv1"]))
            }
            #expect(error?.description.hasPrefix("'conv1.weight' cannot be factorized: no such rank saves") == true)
        }
    }

    @Test func impossibleBudgetsNameTheSmallest() throws {
        let graph = try Self.model()
        func settings(_ share: Double) -> FactorizationSettings {
            FactorizationSettings(rule: .budget(RankBudget(.macs, share: share)), multiple: 1)
        }
        let error = try #require(
            #expect(throws: CompressionError.self) { try Self.factorize(graph, settings(0.001)) })
        guard case .budgetTooSmall(_, let smallest) = error, let share = Double(smallest) else {
            Issue.record("\(error)")
            return
        }
        _ = try Self.factorize(graph, settings(share))
        #expect(throws: CompressionError.self) { try Self.factorize(graph, settings(share - 0.0002)) }
    }

    @Test func settingsOutOfRangeAndUnknownNamesAreRefused() throws {
        let graph = try Self.model()
        func refused(_ settings: FactorizationSettings) -> String {
            do { _ = try Factorizer(graph: graph, settings: settings) } catch { return "\(error)" }
            return ""
        }
        for energy in [0, -1, 1.5, .nan] {
            #expect(refused(FactorizationSettings(rule: .energy(energy))).contains("out of range"))
        }
        for share in [0, 1, -0.5, .nan] {
            let rule = RankRule.budget(RankBudget(.macs, share: share))
            #expect(refused(FactorizationSettings(rule: rule)).contains("out of range"))
        }
        #expect(refused(FactorizationSettings(rule: .evbmf, multiple: 0)).contains("multiple of 0"))
        #expect(
            refused(FactorizationSettings(rule: .evbmf, only: ["fc1.wieght"])).contains("did you mean 'fc1.weight'?"))
        #expect(refused(FactorizationSettings(rule: .evbmf, excluded: ["nothing"])).contains("no layer 'nothing'"))
        #expect(
            refused(FactorizationSettings(rule: .evbmf, choice: .svd, only: ["conv1"])).contains("spatial or tucker"))
        #expect(refused(FactorizationSettings(rule: .evbmf, only: ["fc1"], excluded: ["fc1"])).contains("nothing to"))
    }
}
