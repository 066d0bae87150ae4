import ModelGraph
import Tensors
import Testing

@testable import Engine

/// Agreement with ONNX Runtime on what both of PyTorch's exporters write, folded and not, from opset 13 on: each output
/// within 1e-4 of its largest value, or 1e-5.
@Suite(
    .enabled(if: !ParityFolder.exports.isEmpty, "PLEACH_PARITY names no folder with exports: run `make parity`"),
    .serialized)
struct ExecutionExportTests {
    init() { EngineRuntime.setThreads(1) }

    /// The batch of the export, then a smaller one by the same executable: no shape may stick.
    @Test(arguments: ParityFolder.exports) func outputs(name: String) throws {
        let graph = try ParityFolder.graph("exports/\(name)")
        let inputs = try ParityFolder.read("exports/\(name).inputs")
        let reference = try ParityFolder.read("exports/\(name).outputs")
        let executable = try Executable(graph)
        for prefix in ["", "fewer."] {
            let batch = NamedTensors(try graph.inputs.map { ($0.name, try inputs.require(prefix + $0.name)) })
            let found = try executable.run(batch)
            #expect(found.names == graph.outputs.map(\.name))
            for (name, tensor) in found.ordered {
                let expected = try reference.require(prefix + name)
                let largest = expected.floats.map(abs).max() ?? 0
                let agreement = Agreement(tensor, expected)
                let tolerance = max(1e-4, 1e-5 / Double(max(largest, .leastNormalMagnitude)))
                #expect(agreement.holds(within: tolerance), "\(prefix)\(name): \(agreement)")
            }
        }
    }
}
