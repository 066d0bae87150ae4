import Compression
import Foundation
import ModelGraph
import Monitor

/// Milliseconds in ONNX Runtime of models in memory: they are written as they would be delivered, timed in turns by one
/// child process, and removed again.
struct ModelTimer: Sendable {
    /// A folder of its own, emptied before and removed after: a crash leaves at most one behind.
    let directory: String
    /// ONNX opset of the files.
    let opset: Int
    var probe = RuntimeProbe()
    var options = RuntimeProbe.Options()

    /// Writes one model's file; piece by piece, because models are large.
    typealias Writer = (_ append: ([UInt8]) throws -> Void) throws -> Void

    /// Models that are timed within the usual limit.
    private static let usualCount = 16

    /// Medians for one sample on one thread, in the models' order; models in integers are timed as they are. Blocks for up to
    /// `options.limitSeconds`, longer for many models, and for as long as it takes to make them.
    /// - Throws: `LatencyError.notMeasured` unless all of them were measured.
    func milliseconds(_ models: [() throws -> Graph]) throws(LatencyError) -> [Double] {
        var timer = self
        if models.count > Self.usualCount {
            timer.options.limitSeconds *= Double(models.count) / Double(Self.usualCount)
        }
        let measurement = timer.measure { add in
            for make in models {
                if probe.isCancelled() { throw CancellationError() }
                let delivered = try CompactModel.float32(graph: make(), opset: Int64(opset))
                try add { append in try delivered.serialize { piece in try append(piece) } }
            }
        }
        guard measurement.models.count == models.count, let times = measurement.allMilliseconds else {
            let reason = measurement.reason ?? measurement.models.lazy.compactMap(\.reason).first
            throw .notMeasured(reason: reason ?? "not every model could be measured")
        }
        return times
    }

    /// Times the files that `fill` adds, in the order in which it adds them.
    func measure(_ fill: (_ add: (Writer) throws -> Void) throws -> Void) -> RuntimeMeasurement {
        var paths: [String] = []
        let begin = ContinuousClock.now
        let files = FileManager.default
        defer { try? files.removeItem(atPath: directory) }
        do {
            try? files.removeItem(atPath: directory)
            try files.createDirectory(
                atPath: directory, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
            try fill { write in
                let path = "\(directory)/\(paths.count).onnx"
                guard files.createFile(atPath: path, contents: nil) else { throw CocoaError(.fileWriteUnknown) }
                let file = try FileHandle(forWritingTo: URL(fileURLWithPath: path))
                defer { try? file.close() }
                try write { piece in try file.write(contentsOf: piece) }
                paths.append(path)
            }
        } catch {
            return RuntimeMeasurement(reason: "a model could not be written: \(error)", count: paths.count)
        }
        // Writing takes of the time, but never more than half.
        var options = options
        let spent = (ContinuousClock.now - begin) / .seconds(1)
        options.limitSeconds = max(options.limitSeconds / 2, options.limitSeconds - spent)
        return probe.measure(paths, options: options)
    }
}
