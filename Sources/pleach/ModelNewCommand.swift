import ArgumentParser
import Federation
import ModelGraph
import Tensors

struct ModelNewCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "new",
        abstract: "Write a bundled architecture with seeded initial weights.",
        discussion: """
            Examples:
              pleach model new resnet20 --width 24 --out resnet.onnx
              pleach model new mobilenetv2 --input 3,224,224 --classes 1000 --width 24 --out mobile.onnx
              pleach model new transformer --input 128 --vocabulary 8000 --depth 4 --norm post --out text.onnx
            """)

    @Argument(help: "\(ModelBuilder.architectures.joined(separator: ", ")).")
    var architecture: String

    @Option(help: "The ONNX file to write.")
    var out: String

    @Option(help: "Extents of one sample, such as 1,28,28; for transformer its length in tokens.")
    var input: String?

    @Option(help: "Number of outputs.")
    var classes: Int?

    @Option(
        help: """
            Channels of the first convolution (mobilenetv2: 32 is its multiplier 1.0, 16 is 0.5); units of mlp; width of \
            transformer.
            """)
    var width: Int?

    @Option(help: "Seed of the initial weights.")
    var seed: UInt64 = 0

    @Option(help: "transformer: number of tokens there are (1024).")
    var vocabulary: Int?

    @Option(help: "transformer: blocks (2).")
    var depth: Int?

    @Option(help: "transformer: attention heads, a divisor of the width (4).")
    var heads: Int?

    @Option(help: "transformer: normalise in front of each layer (pre) or behind it (post).")
    var norm: TransformerOptions.Normalization?

    @Option(help: "transformer: classify the mean over the tokens (mean) or the first token (cls).")
    var pool: TransformerOptions.Pooling?

    func run() async throws {
        try await exitingOnError {
            let graph = try ModelBuilder.build(
                architecture: architecture, inputShape: try sampleShape(), classes: classes, width: width,
                transformer: try transformerOptions(), seed: seed)
            try graph.requireFileSize()
            let bytes = graph.serialized()
            try writeFile(bytes, to: out)
            let parameters = graph.parameters.filter { $0.role == .trainable }.reduce(0) { $0 + $1.shape.elementCount }
            print("\(out): \(architecture), \(parameters) parameters, \(bytes.count) bytes")
        }
    }

    private func sampleShape() throws -> [Int]? {
        let extents = try input.map { text in
            let extents = text.split(separator: ",", omittingEmptySubsequences: false).map { Int($0) }
            guard extents.allSatisfy({ ($0 ?? 0) > 0 }) else {
                throw ValidationError("--input '\(text)' is not a list of positive extents such as 1,28,28")
            }
            return extents.compactMap { $0 }
        }
        guard let vocabulary else { return extents }
        guard extents?.count ?? 1 == 1 else { throw ValidationError("--vocabulary needs --input with a length only") }
        return [extents?.first ?? ModelBuilder.standardLength, vocabulary]
    }

    private func transformerOptions() throws -> TransformerOptions {
        var options = TransformerOptions()
        let given = [
            ("--vocabulary", vocabulary != nil), ("--depth", depth != nil), ("--heads", heads != nil),
            ("--norm", norm != nil), ("--pool", pool != nil),
        ]
        if architecture != "transformer", let (name, _) = given.first(where: \.1) {
            throw ValidationError("\(name) is an option of transformer; \(architecture) has none such")
        }
        if let depth { options.depth = depth }
        if let heads { options.heads = heads }
        if let norm { options.normalization = norm }
        if let pool { options.pooling = pool }
        return options
    }
}

extension TransformerOptions.Normalization: ExpressibleByArgument {}
extension TransformerOptions.Pooling: ExpressibleByArgument {}
