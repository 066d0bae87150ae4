import Engine
import Tensors

/// A teacher's logits for a shard, computed once per sample and kept: count x classes floats. The logits
/// are those of the samples as they are, not augmented. Owned by one thread.
///
/// Samples are computed in fixed blocks of neighbours, whoever of them is asked for: the last bits of a row of logits
/// depend on the batch it was computed in, and a worker that starts again asks in another order but must repeat its
/// task to the bit.
public final class TeacherCache {
    private static let blockSize = 16
    private let teachers: TeacherEnsemble
    private let dataset: Dataset
    private var logits: [Float] = []
    private var isKnown: [Bool]
    private var classes = 0

    public convenience init(teacher: Executable, dataset: Dataset) {
        self.init(teachers: TeacherEnsemble(teacher), dataset: dataset)
    }

    /// The averaged logits of several teachers.
    public init(teachers: TeacherEnsemble, dataset: Dataset) {
        self.teachers = teachers
        self.dataset = dataset
        isKnown = Array(repeating: false, count: (dataset.count + Self.blockSize - 1) / Self.blockSize)
    }

    /// float32 [indices.count, classes].
    /// - Throws: `CompressionError.unusableTeacher` for an output of another shape; what reading and the engine throw.
    public func logits(for indices: [Int]) throws -> Tensor {
        for index in indices where !isKnown[index / Self.blockSize] { try compute(block: index / Self.blockSize) }
        var rows: [Float] = []
        rows.reserveCapacity(indices.count * classes)
        for index in indices { rows.append(contentsOf: logits[index * classes..<(index + 1) * classes]) }
        return Tensor(rows, shape: try Shape([indices.count, classes]))
    }

    private func compute(block: Int) throws {
        let start = block * Self.blockSize
        let loaded = try dataset.samples(at: start..<min(start + Self.blockSize, dataset.count))
        // Nobody asks for the logits of samples that cannot be read: batches leave them out.
        guard !loaded.indices.isEmpty, let input = loaded.batch.inputs.ordered.first?.tensor else { return }
        let fresh = try teachers.logits(NamedTensors([("x", input)]))
        let shape = fresh.shape
        guard fresh.elementType == .float32, shape.rank == 2, shape[0] == loaded.indices.count, shape[1] > 0,
            logits.isEmpty || shape[1] == classes
        else {
            throw CompressionError.unusableTeacher(
                elementType: fresh.elementType, shape: shape, samples: loaded.indices.count)
        }
        if logits.isEmpty {
            classes = shape[1]
            logits = Array(repeating: 0, count: dataset.count * classes)
        }
        fresh.withElements(as: Float.self) { values in
            // Samples that cannot be read are left out, so rows are not simply neighbours.
            for (offset, value) in values.enumerated() {
                logits[loaded.indices[offset / classes] * classes + offset % classes] = value
            }
        }
        isKnown[block] = true
    }
}
