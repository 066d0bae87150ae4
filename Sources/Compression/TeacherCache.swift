import Engine
import Tensors

/// A teacher's logits for a shard, computed once per sample and kept: count x classes floats. Right only where inputs are
/// not augmented, which is so in this version. Owned by one thread.
public final class TeacherCache {
    private let teacher: Executable
    private let dataset: Dataset
    private var logits: [Float] = []
    private var isKnown: [Bool]
    private var classes = 0

    public init(teacher: Executable, dataset: Dataset) {
        self.teacher = teacher
        self.dataset = dataset
        isKnown = Array(repeating: false, count: dataset.count)
    }

    /// float32 [indices.count, classes].
    public func logits(for indices: [Int]) throws -> Tensor {
        let missing = indices.filter { !isKnown[$0] }
        if !missing.isEmpty {
            let fresh = try teacher.logits(dataset.batch(missing).inputs)
            if logits.isEmpty {
                classes = fresh.shape.dimensions.last ?? 0
                logits = Array(repeating: 0, count: dataset.count * classes)
            }
            fresh.withElements(as: Float.self) { values in
                for (row, index) in missing.enumerated() {
                    for column in 0..<classes { logits[index * classes + column] = values[row * classes + column] }
                    isKnown[index] = true
                }
            }
        }
        var rows: [Float] = []
        rows.reserveCapacity(indices.count * classes)
        for index in indices { rows.append(contentsOf: logits[index * classes..<(index + 1) * classes]) }
        return Tensor(rows, shape: try Shape([indices.count, classes]))
    }
}
