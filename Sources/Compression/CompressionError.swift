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
    case malformedComparison(String)
    case missingCalibration(tensor: String)
    case noData(String)
    case unknownMethod(String)
    /// A criterion that says nothing of what is to be ranked.
    case criterionUnfit(criterion: String, what: String, valid: [String])
    /// A tensor that workers should have measured for a criterion, of the weights' shape.
    case missingStatistic(String, criterion: String)
    /// A weight whose axes are not known, for what needs them.
    case unknownLayout(tensor: String, need: String)
    /// A group of channels, or a block, that is not of the model or does not fit what is given with it.
    case groupMisfit(group: String, reason: String)
    case unknownGroup(name: String, suggestion: String?, known: [String])
    /// A budget below what the groups can shrink to, in the words of the request.
    case budgetTooSmall(asked: String, smallest: String)
    /// A weight, group or block that the model does not have, with the nearest name.
    case unknownName(String, suggestion: String?, known: [String])
    case nothingToPrune(String, reason: String?)
    /// A setting outside its range. The text is one sentence.
    case valueOutOfRange(String)
    /// A layer that was asked for by name but cannot be factorized; half a sentence says why.
    case notFactorizable(layer: String, reason: String)
    case unknownLayer(name: String, suggestion: String?, known: [String])
    case nothingToFactorize(String)
    case malformedMoments(tensor: String, reason: String)
    /// A teacher whose output is not one row of logits a sample.
    case unusableTeacher(elementType: ElementType, shape: Shape, samples: Int)
    /// Teachers that cannot be averaged: the number of one from 1, what it says, and what it should.
    case teachersDiffer(teacher: Int, String, String)
    /// Networks without values that can be paired by their places.
    case noFeaturePairs(measure: String)

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
        case .malformedComparison(let reason): "comparison blob: \(reason)"
        case .malformedCalibration(let reason): "calibration blob: \(reason)"
        case .missingCalibration(let tensor): "tensor '\(tensor)' was not calibrated: run more samples"
        case .noData(let what): "\(what) got no samples"
        case .unknownMethod(let text): text
        case .criterionUnfit(let criterion, let what, let valid):
            "criterion '\(criterion)' says nothing of \(what); those that do: \(valid.joined(separator: ", "))"
        case .missingStatistic(let name, let criterion):
            "criterion '\(criterion)' needs figures of '\(name)' in its shape: measure them on the same snapshot"
        case .unknownLayout(let tensor, let need):
            "\(need) cannot be used on '\(tensor)': which of its axes are inputs and outputs is not known"
        case .groupMisfit(let group, let reason): "'\(group)' cannot be ranked: \(reason)"
        case .unknownGroup(let name, let suggestion, let known):
            "the model has no group of channels '\(name)'"
                + (suggestion.map { "; did you mean '\($0)'?" } ?? "; it has \(Self.listed(known))")
        case .budgetTooSmall(let asked, let smallest):
            "\(asked) cannot be met: the smallest that can is \(smallest); give that or more"
        case .unknownName(let name, let suggestion, let known):
            "the model has nothing to prune named '\(name)'; "
                + (suggestion.map { "did you mean '\($0)'?" }
                    ?? "there are \(known.prefix(8).joined(separator: ", "))\(known.count > 8 ? ", ..." : "")")
        case .nothingToPrune(let what, let reason):
            "the model has no \(what) to prune" + (reason.map { ": \($0)" } ?? "")
        case .valueOutOfRange(let text): text
        case .notFactorizable(let layer, let reason): "'\(layer)' cannot be factorized: \(reason)"
        case .unknownLayer(let name, let suggestion, let known):
            "the model has no layer '\(name)' to factorize"
                + (suggestion.map { "; did you mean '\($0)'?" } ?? "; it has \(Self.listed(known))")
        case .nothingToFactorize(let reason): "the model has nothing to factorize: \(reason)"
        case .malformedMoments(let tensor, let reason):
            "the second moments of '\(tensor)' cannot be used: \(reason)"
        case .unusableTeacher(let type, let shape, let samples):
            "the teacher answers \(samples) samples with \(type) \(shape); logits of shape [samples, classes] are needed"
        case .teachersDiffer(let teacher, let found, let expected):
            "teacher \(teacher) answers with \(found), where \(expected) is needed: give teachers of the same classes"
        case .noFeaturePairs(let measure):
            "no values of student and teacher can be paired by their places for \(measure): name the pairs, or take a measure that "
                + "fits both (attention matrices are transformers')"
        }
    }

    private static func listed(_ names: [String]) -> String {
        guard !names.isEmpty else { return "none" }
        return names.prefix(8).joined(separator: ", ") + (names.count > 8 ? " and \(names.count - 8) more" : "")
    }
}
