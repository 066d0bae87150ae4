import ModelGraph
import Tensors

/// Whether a file says what the model in memory says.
public enum ExportCheck {
    /// Loads a file's bytes as a stranger's and runs both: outputs must be the same to the bit.
    /// - Parameters:
    ///   - path: what errors call the file.
    ///   - graph: that the bytes were written from.
    /// - Throws: `EngineError.exportDiffers` naming the output; `ModelError` where the bytes cannot be loaded; `EngineError` where
    ///   either cannot run.
    public static func verify(
        _ bytes: [UInt8], path: String, against graph: Graph, inputs: NamedTensors
    ) throws {
        let read = try Graph.load(bytes, path: path)
        let expected = try Executable(graph).run(inputs)
        let found = try Executable(read).run(inputs)
        guard read.outputs.map(\.name) == graph.outputs.map(\.name) else {
            throw EngineError.exportDiffers(path: path, output: graph.outputs.first?.name ?? "")
        }
        // Tensors are equal where their bytes are: numbers that are none compare too.
        for (name, tensor) in expected.ordered where found[name] != tensor {
            throw EngineError.exportDiffers(path: path, output: name)
        }
    }
}
