import ArgumentParser
import Engine
import ModelGraph
import Tensors

struct ModelRunCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run",
        abstract: "Run a model once on tensors from a safetensors file.",
        discussion: "Example: pleach model run cnn.onnx --inputs in.safetensors --out out.safetensors")

    @Argument(help: "The ONNX file.")
    var file: String

    @Option(help: "A safetensors file with one tensor per model input.")
    var inputs: String

    @Option(help: "The safetensors file to write the outputs to.")
    var out: String

    @OptionGroup var engine: EngineOptions

    func run() async throws {
        try await exitingOnError {
            try engine.apply()
            EngineRuntime.setThreads(1)
            let graph = try Graph.load(path: file)
            try graph.validateOperators(supported: SupportedOperators.table)
            let given = try Safetensors.read(path: inputs).tensors
            let results = try Executable(graph).run(given)
            try writeFile(Safetensors.serialize(results), to: out)
            for (name, tensor) in results.ordered { print("\(name) \(tensor.elementType) \(tensor.shape)") }
        }
    }
}
