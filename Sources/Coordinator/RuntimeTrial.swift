import ModelGraph
import Monitor

/// Whether models can be timed here: a small one is.
public struct RuntimeTrial: Sendable {
    /// Such as `ONNX Runtime 1.20.1`; nil where nothing could be timed.
    public let runtime: String?
    /// Why not.
    public let reason: String

    /// - Parameter folder: for the model's file; it goes away again.
    public init(in folder: String) {
        var timer = ModelTimer(directory: folder, opset: 17)
        timer.options.secondsEach = 0.05
        let measurement = timer.measure { add in
            let graph = try ModelBuilder.build(architecture: "mlp", inputShape: [4], classes: 2, width: 4, seed: 1)
            try add { append in try append(graph.serialized()) }
        }
        let isTimed = measurement.allMilliseconds != nil
        runtime = isTimed ? "\(measurement.runtime ?? "a runtime") \(measurement.runtimeVersion ?? "")" : nil
        reason = measurement.reason ?? measurement.models.lazy.compactMap(\.reason).first ?? "nothing was timed"
    }
}
