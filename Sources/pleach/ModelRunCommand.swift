import ArgumentParser
import Engine
import ModelGraph
import Tensors

struct ModelRunCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run",
        abstract: "Run a model once on tensors from a safetensors file.",
        discussion: """
            The file holds one tensor for each input of the model, under the input's name and of its type and shape;
            nothing is converted. `pleach model inspect FILE` lists the inputs.
            Example: pleach model run bert.onnx --inputs in.safetensors --out out.safetensors --outputs logits
            """)

    @Argument(help: "The ONNX file.")
    var file: String

    @Option(help: "A safetensors file with one tensor per model input.")
    var inputs: String

    @Option(help: "The safetensors file to write the outputs to.")
    var out: String

    @OptionGroup var engine: EngineOptions

    @Option(
        parsing: .upToNextOption,
        help: "Names of the tensors to write, any that the model computes (default: the model's outputs).")
    var outputs: [String] = []

    @Option(help: "Threads of libtorch.")
    var threads = 1

    func run() async throws {
        try await exitingOnError {
            guard threads > 0 else { throw ValidationError("--threads must be positive") }
            try engine.apply()
            EngineRuntime.setThreads(threads)
            let graph = try Graph.load(path: file)
            try graph.validateOperators(supported: SupportedOperators.table)
            let given = try Safetensors.read(path: inputs).tensors
            let wanted = outputs.isEmpty ? nil : outputs
            try graph.checkNames(inputs: given, outputs: wanted)
            let results = try Executable(graph).run(given, outputs: wanted)
            try writeFile(Safetensors.serialize(results), to: out)
            for (name, tensor) in results.ordered { print("\(name) \(tensor.elementType) \(tensor.shape)") }
            print("\(results.count) \(results.count == 1 ? "tensor" : "tensors") in \(out)")
        }
    }
}
