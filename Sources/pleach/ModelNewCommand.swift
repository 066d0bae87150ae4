import ArgumentParser
import Federation
import ModelGraph
import Tensors

struct ModelNewCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "new",
        abstract: "Write a bundled architecture with seeded initial weights.",
        discussion: "Example: pleach model new resnet20 --width 24 --out resnet.onnx")

    @Argument(help: "mlp, cnn or resnet20.")
    var architecture: String

    @Option(help: "The ONNX file to write.")
    var out: String

    @Option(help: "Extents of one sample, such as 1,28,28.")
    var input: String?

    @Option(help: "Number of outputs.")
    var classes: Int?

    @Option(help: "Base width in channels.")
    var width: Int?

    @Option(help: "Seed of the initial weights.")
    var seed: UInt64 = 0

    func run() async throws {
        try await exitingOnError {
            let shape = try input.map { text in
                let extents = text.split(separator: ",", omittingEmptySubsequences: false).map { Int($0) }
                guard extents.allSatisfy({ ($0 ?? 0) > 0 }) else {
                    throw ValidationError("--input '\(text)' is not a list of positive extents such as 1,28,28")
                }
                return extents.compactMap { $0 }
            }
            let graph = try ModelBuilder.build(
                architecture: architecture, inputShape: shape, classes: classes, width: width, seed: seed)
            let bytes = graph.serialized()
            try writeFile(bytes, to: out)
            let parameters = graph.parameters.filter { $0.role == .trainable }.reduce(0) { $0 + $1.shape.elementCount }
            print("\(out): \(architecture), \(parameters) parameters, \(bytes.count) bytes")
        }
    }
}
