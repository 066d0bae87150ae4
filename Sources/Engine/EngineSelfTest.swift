import CImages
import ModelGraph
import Tensors

/// Whether the libraries behind this target work on this machine: `pleach doctor`.
public enum EngineSelfTest {
    /// Runs a small model twice, and says which libtorch did.
    /// - Throws: `EngineError`, `ModelError` for what cannot run.
    public static func compute() throws -> String {
        let graph = try ModelBuilder.build(architecture: "cnn", width: 2, seed: 1)
        let executable = try Executable(graph)
        let inputs = try RandomBatch.inputs(for: graph, rows: 2)
        let (first, second) = (try executable.logits(inputs), try executable.logits(inputs))
        guard first == second, first.withElements(as: Float.self, { $0.allSatisfy(\.isFinite) }) else {
            throw EngineError.badSetting(
                "\(EngineRuntime.description) does not compute the same twice: install it again")
        }
        return EngineRuntime.description
    }

    /// Writes and reads a JPEG and a PNG.
    /// - Throws: `DataError` for a library that does not.
    public static func decodeImages() throws(DataError) -> String {
        for (format, name) in [(CI_JPEG, "libjpeg-turbo"), (CI_PNG, "libspng")] {
            let (height, width) = (8, 8)
            let pixels = [UInt8](repeating: 100, count: 3 * height * width)
            var bytes = [UInt8](repeating: 0, count: 4096)
            let count = ci_encode(Int32(format), pixels, Int32(width), Int32(height), 3, 90, &bytes, bytes.count)
            guard let shape = try? Shape([3, height, width]) else { preconditionFailure("a shape of 192 elements") }
            var planes = [UInt8](repeating: 0, count: shape.elementCount)
            let fault = planes.withUnsafeMutableBytes { target -> String? in
                do throws(ImageDecoder.Fault) {
                    try ImageDecoder().decode(Array(bytes[..<count]), shape: shape, resizes: false, into: target)
                    return nil
                } catch { return error.reason }
            }
            let isClose = planes.allSatisfy { abs(Int($0) - 100) < 8 }
            guard fault == nil, isClose else {
                throw .unusableArray(
                    place: name, reason: fault ?? "it does not decode what it has encoded: install it again")
            }
        }
        return "libjpeg-turbo and libspng decode"
    }
}
