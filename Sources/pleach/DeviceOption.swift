import ArgumentParser
import Engine

/// Where a command's tensors are; for every command that runs a model.
struct EngineOptions: ParsableArguments {
    @Option(help: "Where to compute: cpu, cuda or cuda:N (with a libtorch that has CUDA).")
    var device = "cpu"

    /// Call it before anything is loaded.
    /// - Throws: `ValidationError` for an unknown word or a device that is not there.
    func apply() throws {
        do { try EngineRuntime.setDevice(EngineDevice(parsing: device)) } catch {
            throw ValidationError("--device \(device): \(error)")
        }
    }
}
