import Engine
import ModelGraph
import Tensors

/// A teacher ready to answer. Owned by one thread.
public final class TeacherNetwork {
    private let executable: Executable
    private let resizing: InputResizing?

    /// - Parameter resizing: of the student's samples to this teacher's input; nil where they fit.
    public init(_ executable: Executable, resizing: InputResizing? = nil) {
        self.executable = executable
        self.resizing = resizing
    }

    /// The first output for a batch, and values inside.
    /// - Parameters:
    ///   - inputs: the student's.
    ///   - features: names of any values that the graph computes.
    public func logits(
        _ inputs: NamedTensors, features: [String] = []
    ) throws(EngineError) -> (logits: Tensor, features: NamedTensors) {
        try executable.logits(try resizing?.apply(inputs) ?? inputs, features: features)
    }
}
