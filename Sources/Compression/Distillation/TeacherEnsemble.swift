import Engine
import Tensors

/// Several teachers that speak as one: their logits averaged by weight. Owned by one thread.
///
/// The mean is taken of logits, not of probabilities, so that a temperature applies to it as to a single teacher's. It is
/// summed in float64 in the order of the teachers, so the same teachers say the same to the bit.
public final class TeacherEnsemble {
    /// Most teachers of one student.
    public static let greatestCount = 64
    private let teachers: [TeacherNetwork]
    /// Of each, adding up to 1.
    public let weights: [Double]

    /// - Parameter teachers: each with a positive weight; only their proportions count.
    /// - Throws: `CompressionError.valueOutOfRange` for no teacher, too many, or a weight that is not positive.
    public init(_ teachers: [(network: TeacherNetwork, weight: Double)]) throws(CompressionError) {
        guard (1...Self.greatestCount).contains(teachers.count) else {
            throw .valueOutOfRange("\(teachers.count) teachers were given: give 1 to \(Self.greatestCount)")
        }
        for (index, teacher) in teachers.enumerated() where !(teacher.weight > 0 && teacher.weight.isFinite) {
            throw .valueOutOfRange("the weight of teacher \(index + 1) is \(teacher.weight): give a positive number")
        }
        // By the largest first, so that the sum of huge weights is finite.
        let largest = teachers.map(\.weight).max() ?? 1
        let shares = teachers.map { $0.weight / largest }
        let sum = shares.reduce(0, +)
        self.teachers = teachers.map(\.network)
        weights = shares.map { $0 / sum }
    }

    public convenience init(_ teacher: Executable) { self.init(TeacherNetwork(teacher)) }

    public convenience init(_ teacher: TeacherNetwork) {
        do { try self.init([(teacher, 1)]) } catch { preconditionFailure("one teacher of weight 1: \(error)") }
    }

    /// The averaged first outputs for a batch; of a single teacher, its own.
    /// - Throws: `CompressionError.teachersDiffer` for outputs of different shapes; what the engine throws.
    public func logits(_ inputs: NamedTensors) throws -> Tensor {
        let first = try teachers[0].logits(inputs).logits
        guard teachers.count > 1 else { return first }
        guard first.elementType == .float32 else {
            throw CompressionError.teachersDiffer(teacher: 1, "\(first.elementType) \(first.shape)", "float32 logits")
        }
        var sums = first.floats.map { Double($0) * weights[0] }
        for index in teachers.indices.dropFirst() {
            let next = try teachers[index].logits(inputs).logits
            guard next.elementType == .float32, next.shape == first.shape else {
                throw CompressionError.teachersDiffer(
                    teacher: index + 1, "\(next.elementType) \(next.shape)", "\(first.elementType) \(first.shape)")
            }
            next.withElements(as: Float.self) { values in
                for place in sums.indices { sums[place] += Double(values[place]) * weights[index] }
            }
        }
        return Tensor(sums.map(Float.init), shape: first.shape)
    }
}
