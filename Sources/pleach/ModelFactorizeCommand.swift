import ArgumentParser
import Compression
import Engine
import ModelGraph
import Monitor
import Tensors

struct ModelFactorizeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "factorize",
        abstract: "Replace the weights of one file by products of smaller ones.",
        discussion: """
            The numerics of low rank on one file, without fine-tuning: dense layers and convolutions of one pixel become two \
            by SVD; larger kernels become k x 1 and 1 x k (spatial) or 1 x 1, k x k, 1 x 1 (tucker). With --data, what is cut \
            is what costs the layers' outputs least. A layer that would not save both parameters and MACs stays as it is.

            Examples:
              pleach model factorize cnn.onnx --energy 0.9 --check --out small.onnx
              pleach model factorize resnet20.onnx --macs 0.5 --data 'npy:../shared/data/cifar10' --out fast.onnx
              pleach model factorize cnn.onnx --parameters 0.5 --of layers --only fc1.weight fc2.weight --out half.onnx
            """)

    @Argument(help: "The ONNX file.")
    var file: String

    @Option(help: "The ONNX file to write.")
    var out: String

    @Option(help: "Each layer keeps at least this share of its energy, above 0 and at most 1.")
    var energy: Double?

    @Flag(help: "Each layer keeps what stands out of noise (empirical variational Bayes).")
    var evbmf = false

    @Option(help: "The share of the parameters that may be left, above 0 and below 1.")
    var parameters: Double?

    @Option(help: "The share of the multiply-accumulates that may be left, above 0 and below 1.")
    var macs: Double?

    @Option(
        help:
            "What --parameters or --macs is a share of: model or layers (those that may be factorized). (default: model)"
    )
    var of: String?

    @Option(help: "For kernels larger than one pixel: auto, spatial or tucker; svd leaves them.")
    var method = "auto"

    @Option(parsing: .upToNextOption, help: "Only these weights or nodes.")
    var only: [String] = []

    @Option(parsing: .upToNextOption, help: "Weights or nodes that stay as they are.")
    var exclude: [String] = []

    @Option(help: "Ranks are multiples of this where such a rank saves.")
    var multiple = 8

    @Option(help: "The data SPEC to measure layers' inputs on (its training split unless it says otherwise).")
    var data: String?

    @Option(help: "Samples to measure on. (default: 1024)")
    var samples: Int?

    @Flag(help: "Run the given and the factorized model on random input and print the largest difference.")
    var check = false

    @OptionGroup var extents: ExtentOptions

    @OptionGroup var engine: EngineOptions

    @Flag(help: "Print JSON.")
    var json = false

    func run() async throws {
        try await exitingOnError {
            let settings = try parsedSettings()
            guard samples ?? 1 > 0 else { throw ValidationError("--samples must be at least 1") }
            guard data != nil || samples == nil else { throw ValidationError("--samples needs --data SPEC") }
            let extents = try extents.parsed()
            let graph = try Graph.load(path: file)
            if check || data != nil { try graph.validateOperators(supported: SupportedOperators.table) }
            try engine.apply()
            let factorizer = try Factorizer(graph: graph, settings: settings)
            var remarks: [String] = []
            var moments = NamedTensors()
            if let data { moments = try measured(factorizer, spec: data, remarks: &remarks) }
            let result = try factorizer.factorize(moments: moments)
            try result.graph.requireFileSize()
            var report = FactorizeReport(
                result, before: try PruneReport.Sizes(graph, extents: extents),
                after: try PruneReport.Sizes(result.graph, extents: extents))
            (report.out, report.remarks) = (out, remarks)
            if check { report.check = try FactorizeCheck(given: graph, factorized: result.graph, extents: extents) }
            try writeFile(result.graph.serialized(), to: out)
            if json { return try printJSON(report) }
            print(report.lines.joined(separator: "\n"))
        }
    }

    /// - Throws: `ValidationError` for options that do not go together.
    private func parsedSettings() throws -> FactorizationSettings {
        var rules: [RankRule] = []
        let scope: RankBudget.Scope = try of.map { try parseChoice($0, "--of") } ?? .model
        if let energy { rules.append(.energy(energy)) }
        if evbmf { rules.append(.evbmf) }
        if let parameters { rules.append(.budget(RankBudget(.parameters, share: parameters, scope: scope))) }
        if let macs { rules.append(.budget(RankBudget(.macs, share: macs, scope: scope))) }
        guard rules.count == 1, let rule = rules.first else {
            throw ValidationError("give one of --energy, --evbmf, --parameters and --macs")
        }
        guard of == nil || parameters != nil || macs != nil else {
            throw ValidationError("--of is of no use without --parameters or --macs: remove it")
        }
        return FactorizationSettings(
            rule: rule, choice: try parseChoice(method, "--method"), multiple: multiple,
            only: only.isEmpty ? nil : only, excluded: exclude)
    }

    /// The second moments of the layers' inputs.
    private func measured(_ factorizer: Factorizer, spec: String, remarks: inout [String]) throws -> NamedTensors {
        let dataset = try loadDataset(spec, defaultSplit: .train)
        try dataset.checkFits(factorizer.graph)
        let layout = MomentLayout(factorizer.layers, choice: factorizer.settings.selection.choice)
        let moments = try SecondMoments(factorizer.graph, layout: layout)
        let order = Array(Dataset.shuffledOrder(count: dataset.count, seed: 0).prefix(samples ?? 1024))
        let damage = try dataset.visit(order, batch: min(32, dataset.evaluationBatch(for: factorizer.graph))) {
            loaded, _ in try moments.add(loaded.batch.inputs)
        }
        if let warning = damage.warning { printWarning(warning) }
        if !layout.leftOut.isEmpty {
            remarks.append(
                "decomposed without data, as their moments are too large: "
                    + layout.leftOut.joined(separator: ", "))
        }
        return try moments.means()
    }
}
