import Tensors

/// What can go wrong while a model is compressed.
public enum CompressionError: Error, Equatable, Sendable, CustomStringConvertible {
    case sparsityOutOfRange(Double)
    case scoresNotFinite(tensor: String)
    case scoresMisfit(tensor: String, scores: Int, mask: Int)
    case weightsNotFinite(tensor: String)
    case activationsNotFinite(tensor: String)
    case malformedCalibration(String)
    case malformedChange(String)
    case missingCalibration(tensor: String)
    case noData(String)
    case unknownMethod(String)
    /// A teacher whose output is not one row of logits a sample.
    case unusableTeacher(elementType: ElementType, shape: Shape, samples: Int)

    public var description: String {
        switch self {
        case .sparsityOutOfRange(let value): "sparsity \(value) is out of range: it must be at least 0 and below 1"
        case .scoresNotFinite(let tensor): "the scores of '\(tensor)' are not finite or negative"
        case .scoresMisfit(let tensor, let scores, let mask):
            "'\(tensor)' has \(scores) scores but a mask of \(mask) weights: both must be of one snapshot"
        case .weightsNotFinite(let tensor):
            "the weights of '\(tensor)' are not finite: train again with a smaller learning rate, or mend the file"
        case .activationsNotFinite(let tensor):
            "the activations of '\(tensor)' are not finite or beyond 2^30: check the model and the data's scale"
        case .malformedChange(let reason): "structure change: \(reason)"
        case .malformedCalibration(let reason): "calibration blob: \(reason)"
        case .missingCalibration(let tensor): "tensor '\(tensor)' was not calibrated: run more samples"
        case .noData(let what): "\(what) got no samples"
        case .unknownMethod(let text): text
        case .unusableTeacher(let type, let shape, let samples):
            "the teacher answers \(samples) samples with \(type) \(shape); logits of shape [samples, classes] are needed"
        }
    }
}
