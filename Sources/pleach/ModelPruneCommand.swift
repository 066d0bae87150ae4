import ArgumentParser
import Compression
import Engine
import ModelGraph

struct ModelPruneCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "prune",
        abstract: "Prune one file: zero weights, or remove channels, attention heads or residual blocks.",
        discussion: """
            The prune stage's own code on one file, without recovery. What removed channels still emitted (the shift of a \
            normalisation behind them, say; their own biases go with them) is added to the biases behind. --check compares \
            the smaller model with the given one whose channels are only zeroed.

            Examples:
              pleach model prune cnn.onnx --channels 0.5 --criterion l2 --multiple 16 --check --out half.onnx
              pleach model prune resnet.onnx --macs 0.5 --criterion taylor --data 'idx:../shared/data/mnist' --out fast.onnx
              pleach model prune cnn.onnx --sparsity 0.8 --out sparse.onnx
              pleach model prune cnn.onnx --pattern 2:4 --out sparse.onnx
            """)

    @Argument(help: "The ONNX file.")
    var file: String

    @Option(help: "The ONNX file to write.")
    var out: String

    @OptionGroup(title: "How much") var amount: PruneAmountOptions

    @Option(
        help: """
            What is important: l1, l2, bnScale, fpgm, lamp; with --data also taylor, gradientNorm, stability, fisher, \
            movement. (default: l1 for weights, l2 for the rest)
            """)
    var criterion: String?

    @Option(
        help: """
            What competes: local (each layer or group alone), global, isomorphic (those of one structure). (default: local \
            for channels and heads, else global)
            """)
    var scope: String?

    @Option(
        help: "Widths that are left are multiples of this; narrower groups stay whole. (default: 16, for --heads 1)")
    var multiple: Int?

    @Flag(help: "Also prune channels that a normalisation takes its statistics over, which changes the other channels.")
    var normalized = false

    @Option(
        help: """
            Channels whose constant meets a border padded with zeros: absorb (what is left there is not exact) or keep \
            (they stay). (default: absorb)
            """)
    var borders: String?

    @Option(parsing: .upToNextOption, help: "Weights, groups or blocks that stay whole.")
    var exclude: [String] = []

    @Option(help: "The data SPEC for criteria that need gradients (its training split unless it says otherwise).")
    var data: String?

    @Option(help: "Samples to take gradients on. (default: 1024)")
    var samples: Int?

    @Flag(help: "Run the masked and the sliced model on random input and print the largest difference.")
    var check = false

    @OptionGroup var extents: ExtentOptions

    @OptionGroup var engine: EngineOptions

    @Flag(help: "Print JSON.")
    var json = false

    func run() async throws {
        try await exitingOnError {
            let amount = try amount.parsed()
            let pruner = try pruner(for: amount)
            let extents = try extents.parsed()
            if check || data != nil { try pruner.graph.validateOperators(supported: SupportedOperators.table) }
            try engine.apply()
            let pruned = try pruner.prune(amount)
            try pruned.graph.requireFileSize()
            let bytes = pruned.graph.serialized()
            var report = PruneReport(
                pruner, pruned, before: try PruneReport.Sizes(pruner.graph, extents: extents),
                after: try PruneReport.Sizes(pruned.graph, extents: extents))
            report.out = out
            if check, let masked = pruned.masked {
                report.check = try PruneCheck(masked: masked, sliced: pruned.graph, extents: extents)
            }
            try writeFile(bytes, to: out)
            if json { return try printJSON(report) }
            print(report.lines.joined(separator: "\n"))
        }
    }

    /// - Throws: `ValidationError` for options that what is pruned has no use for.
    private func refuseUnused(by amount: PruneAmount) throws {
        let what: String
        var unused: [(String, Bool)] = [
            ("--multiple", multiple != nil), ("--borders", borders != nil), ("--normalized", normalized),
        ]
        switch amount {
        case .channels: return
        case .layers:
            what = "whole blocks"
            unused.append(("--scope", scope != nil))
        case .weights(_, .nOfM):
            what = "N of M weights"
            unused.append(("--scope", scope != nil))
        case .weights(_, .block): what = "blocks of weights"
        case .weights: what = "single weights"
        }
        if let option = unused.first(where: \.1)?.0 {
            throw ValidationError("\(option) is of no use to pruning \(what): remove it")
        }
    }

    /// - Throws: `ValidationError` for options that do not go together.
    private func pruner(for amount: PruneAmount) throws -> ModelPruner {
        let slices: Bool
        let usual: (criterion: PruningCriterion, scope: PruningScope)
        var usualMultiple = 16
        let fitting: (criteria: [PruningCriterion], what: String)
        switch amount {
        case .weights:
            (slices, usual, fitting) = (false, (.l1, .global), (PruningCriterion.forWeights, "single weights"))
        case .channels(_, let kind):
            if kind == .heads { usualMultiple = 1 }
            fitting =
                kind == .heads
                ? (PruningCriterion.forHeads, "heads") : (PruningCriterion.forChannels, "channels")
            (slices, usual) = (true, (.l2, .local))
        case .layers:
            (slices, usual, fitting) = (true, (.l2, .global), (PruningCriterion.forBlocks, "whole blocks"))
        }
        if check, !slices {
            throw ValidationError("--check compares sliced with masked outputs, and zeroed weights slice nothing")
        }
        try refuseUnused(by: amount)
        guard multiple ?? 1 > 0, samples ?? 1 > 0 else {
            throw ValidationError("--multiple and --samples must be at least 1")
        }
        let criterion =
            try self.criterion.map { try PruningCriterion.named($0, among: fitting.criteria, toRank: fitting.what) }
            ?? usual.criterion
        if criterion.statistic != nil, data == nil {
            let free = fitting.criteria.filter { $0.statistic == nil }.map(\.rawValue)
            throw ValidationError(
                "--criterion \(criterion.rawValue) needs gradients: give --data SPEC, or take \(free.joined(separator: ", "))"
            )
        }
        if let data, criterion.statistic == nil {
            throw ValidationError("--data \(data) is of no use: --criterion \(criterion.rawValue) needs no gradients")
        }
        guard data != nil || samples == nil else { throw ValidationError("--samples needs --data SPEC") }
        let borders: PruneBorders = try borders.map { try parseChoice($0, "--borders") } ?? .absorb
        return ModelPruner(
            graph: try Graph.load(path: file),
            settings: PruningSettings(
                unit: amount.unit, criterion: criterion,
                scope: try scope.map { try parseChoice($0, "--scope") } ?? usual.scope,
                multiple: multiple ?? usualMultiple, normalized: normalized,
                borders: borders == .keep ? .keep : .absorb, excluded: exclude),
            data: data.map { ModelPruner.Data(spec: $0, samples: samples ?? 1024) })
    }
}

/// What becomes of dead channels whose constant meets a padded border.
enum PruneBorders: String, CaseIterable {
    case absorb, keep
}
