import ArgumentParser
import Compression
import ModelGraph
import Tensors

struct ModelPruneCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "prune",
        abstract: "Mask the smallest weights of one file (global magnitude, unstructured).",
        discussion: """
            The prune stage's own code on one file, without recovery. Example: \
            pleach model prune cnn.onnx --sparsity 0.8 --out pruned.onnx
            """)

    @Argument(help: "The ONNX file.")
    var file: String

    @Option(help: "Share of prunable weights to mask, 0 to 1.")
    var sparsity: Double

    @Option(help: "The ONNX file to write.")
    var out: String

    func run() async throws {
        try await exitingOnError {
            guard (0..<1).contains(sparsity) else { throw ValidationError("--sparsity must be at least 0 and below 1") }
            let graph = try Graph.load(path: file)
            let parameters = graph.parameterTensors()
            let prunable = NamedTensors(graph.prunableNames.compactMap { name in parameters[name].map { (name, $0) } })
            let masks = try MaskRanking.decide(
                scores: Importance(weights: prunable, criterion: .l1).ofWeights(), sparsity: sparsity,
                previous: MaskSet())
            var masked = parameters
            masks.apply(to: &masked)
            try writeFile(try graph.replacingParameters(masked).serialized(), to: out)
            let dead = prunable.elementCount - masks.bitmaps.values.reduce(0) { $0 + $1.populationCount }
            print("\(out): \(dead) of \(prunable.elementCount) prunable weights masked")
        }
    }
}

struct ModelFactorizeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "factorize", abstract: "Not available in this version.", shouldDisplay: false)

    @Argument(parsing: .allUnrecognized, help: .hidden)
    var rest: [String] = []

    func run() async throws {
        printError("'pleach model factorize' is not available in this version; available: prune, quantize")
        try endProcess(.model)
    }
}
