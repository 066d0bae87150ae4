import ArgumentParser
import Compression
import Engine
import ModelGraph
import Monitor

struct ModelQuantizeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "quantize",
        abstract: "Quantize one file to int8 (U8S8 QDQ for x86) with calibration data.",
        discussion: """
            The quantize stage's own code on one file. Example: \
            pleach model quantize cnn.onnx --data 'idx:../shared/data/mnist' --out compact.onnx
            """)

    @Argument(help: "The ONNX file.")
    var file: String

    @Option(help: "The data SPEC to calibrate on (its training split unless it says otherwise).")
    var data: String

    @Option(help: "The ONNX file to write.")
    var out: String

    @Option(help: "minMax, percentile, entropy or mse.")
    var calibration = "percentile"

    @Option(help: "For percentile: 50 to 100.")
    var percentile = 99.999

    @Option(help: "Samples to calibrate on.")
    var samples = 1024

    @Option(help: "x86 (others are not available in this version).")
    var target = "x86"

    @Option(help: "Opset of the file written, 13 to 21.")
    var opset = 17

    func run() async throws {
        try await exitingOnError {
            guard target == "x86" else {
                throw ValidationError("--target '\(target)' is not available in this version; available: x86")
            }
            guard samples > 0 else { throw ValidationError("--samples must be positive") }
            let method = try CalibrationMethod.named(calibration, percentile: percentile)
            let graph = try Graph.load(path: file)
            try graph.validateOperators(supported: SupportedOperators.table)
            let dataset = try loadDataset(data, defaultSplit: .train)
            try dataset.checkFits(graph)
            let calibrator = try Calibrator(graph)
            let order = Array(Dataset.shuffledOrder(count: dataset.count, seed: 0).prefix(samples))
            let damage = try dataset.visit(order, batch: dataset.evaluationBatch(for: graph)) { loaded, _ in
                guard let input = loaded.batch.inputs.ordered.first, loaded.batch.inputs.count == 1 else {
                    throw EngineError.badBatch(
                        "histograms are made for models with one input, not \(loaded.batch.inputs.count)")
                }
                try calibrator.add(input.tensor)
            }
            if let warning = damage.warning { printWarning(warning) }
            let compact = try CompactModel.quantized(
                graph: graph, calibration: calibrator.result, method: method, opset: Int64(opset))
            let bytes = compact.serialized()
            try writeFile(bytes, to: out)
            print(
                "\(out): \(bytes.count) bytes (float32: \(graph.serializedByteCount)), calibrated on \(order.count - damage.damaged) samples"
            )
        }
    }
}
