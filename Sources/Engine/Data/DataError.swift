import Tensors

/// What can be wrong with a data SPEC or with the data it names. Each description says how to mend it.
public enum DataError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The SPEC is not `KIND:PLACE[?option=value&...]`.
    case malformedSpec(spec: String, reason: String)
    case missingVariable(spec: String, name: String)
    case unknownKind(spec: String, kind: String, nearest: String?)
    case unknownOption(spec: String, option: String, nearest: String?)
    case invalidOption(spec: String, option: String, value: String, needed: String)
    case unknownSyntheticSet(String, known: [String])
    /// A file that cannot be read or breaks its own format.
    case file(TensorError)
    case missingFile(folder: String, names: [String])
    /// Arrays of the wrong type or shape, or labels that do not match the samples.
    case unusableArray(place: String, reason: String)
    case notFinite(spec: String, sample: Int)
    /// One sample that cannot be used: a damaged image, or a file that was cut short. `name` is the file, with the row where
    /// it holds many samples.
    case damagedSample(name: String, reason: String)
    /// More than one in a hundred of an epoch's samples are damaged.
    case tooManyDamagedSamples(spec: String, damaged: Int, samples: Int, first: String, reason: String)
    /// An input that the model declares and the data do not have, or have in another type.
    case inputMismatch(spec: String, input: String, reason: String)
    case targetMismatch(spec: String, targets: String, outputs: Int)
    /// A partition that cannot give every shard something.
    case unsatisfiablePartition(spec: String, reason: String)
    case shapeMismatch(spec: String, sample: Shape, model: String)
    case labelOutOfRange(spec: String, sample: Int, label: Int64, classCount: Int)

    public var description: String {
        switch self {
        case .malformedSpec(let spec, let reason): "data '\(spec)': \(reason)"
        case .missingVariable(let spec, let name):
            "data '\(spec)': environment variable \(name) is not set; set it or write ${\(name):-default}"
        case .unknownKind(let spec, let kind, let nearest):
            "data '\(spec)': unknown kind '\(kind)'"
                + (nearest.map { "; did you mean '\($0)'?" } ?? "; use "
                    + DataSpec.Kind.allCases.map { "\($0.rawValue):" }.joined(separator: ", "))
        case .unknownOption(let spec, let option, let nearest):
            "data '\(spec)': unknown option '\(option)'"
                + (nearest.map { "; did you mean '\($0)'?" }
                    ?? "; options are \(DataSpec.optionNames.joined(separator: ", "))")
        case .invalidOption(let spec, let option, let value, let needed):
            "data '\(spec)': option \(option)=\(value) needs \(needed)"
        case .unknownSyntheticSet(let name, let known):
            "synthetic:\(name) is unknown; this version draws "
                + known.map { "synthetic:\($0)" }.joined(separator: ", ")
        case .file(let error): "data: \(error.description)"
        case .missingFile(let folder, let names):
            "data: \(folder) holds none of \(names.joined(separator: ", ")); check the folder of the SPEC"
        case .unusableArray(let place, let reason): "data: \(place): \(reason)"
        case .notFinite(let spec, let sample):
            "data '\(spec)': sample \(sample) holds a value that is not finite; clean the data first"
        case .damagedSample(let name, let reason): "data: \(name): \(reason)"
        case .tooManyDamagedSamples(let spec, let damaged, let samples, let first, let reason):
            "data '\(spec)': \(damaged) of an epoch's \(samples) samples are damaged, more than 1 % "
                + "(\(Self.percent(damaged, of: samples)) %); the first is \(first): \(reason)"
        case .inputMismatch(let spec, let input, let reason):
            "data '\(spec)': the model's input '\(input)' \(reason)"
        case .targetMismatch(let spec, let targets, let outputs):
            "data '\(spec)': the targets are \(targets), the model has \(outputs) outputs"
        case .unsatisfiablePartition(let spec, let reason): "data '\(spec)': \(reason)"
        case .shapeMismatch(let spec, let sample, let model):
            "data '\(spec)': samples have shape \(sample) but the model's input takes \(model); "
                + "use matching data or another model"
        case .labelOutOfRange(let spec, let sample, let label, let classCount):
            "data '\(spec)': sample \(sample) has label \(label), outside the model's \(classCount) classes (0 to "
                + "\(classCount - 1)); fix the label or use a model with more outputs"
        }
    }

    /// With one decimal.
    private static func percent(_ part: Int, of whole: Int) -> Double {
        (Double(part) / Double(max(1, whole)) * 1_000).rounded() / 10
    }
}
