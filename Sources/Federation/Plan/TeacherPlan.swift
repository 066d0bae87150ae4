/// Whom a student learns from.
public enum TeacherSource: Sendable, Equatable {
    /// An ONNX file on the coordinator; it travels once, as a blob.
    case file(String)
    /// The snapshot that stood at the end of the numbered stage (0 is the first stage); workers keep it, so it is free.
    case stage(Int)
    /// Each worker's own, which never leaves it.
    case own
}

/// How samples are brought to the size of a teacher's input: ONNX's Resize with half-pixel coordinates.
public enum TeacherResize: UInt8, Sendable, Equatable, CaseIterable {
    // Raw values are on the wire; never renumber them.
    case nearest = 1
    case bilinear = 2
}

/// One of a student's teachers.
public struct TeacherMember: Sendable, Equatable {
    public var source: TeacherSource
    /// Its part in the mean of all teachers' logits; only proportions count.
    public var weight: Double
    /// nil where its input has the student's size.
    public var resize: TeacherResize?

    public init(_ source: TeacherSource, weight: Double = 1, resize: TeacherResize? = nil) {
        self.source = source
        self.weight = weight
        self.resize = resize
    }
}

/// How a value inside the student is compared with one inside the teacher; the formulas stand at the engine's
/// `FeatureSignal.Measure`, whose cases these are.
public enum FeatureMeasure: UInt8, Sendable, Equatable, CaseIterable {
    // Raw values are on the wire; never renumber them.
    case hiddenStates = 0
    case attentionMaps = 1
    case attentionMatrices = 2
    case attentionDivergence = 3

    /// Whether it needs as many heads of attention on both sides.
    var comparesHeads: Bool { self == .attentionMatrices || self == .attentionDivergence }
}

/// A term on values inside the student, beside that of the logits.
public struct FeatureTerm: Sendable, Equatable {
    /// Two values, each by its name in its own graph.
    public struct Pair: Sendable, Equatable {
        public var student: String
        public var teacher: String

        public init(student: String, teacher: String) {
            self.student = student
            self.teacher = teacher
        }
    }

    public var measure: FeatureMeasure
    /// What the term of each pair is multiplied by; positive.
    public var weight: Double
    /// None: by their places in the two networks.
    public var pairs: [Pair]

    public init(_ measure: FeatureMeasure, weight: Double, pairs: [Pair] = []) {
        self.measure = measure
        self.weight = weight
        self.pairs = pairs
    }
}

/// Whom training learns from beside the labels: L = α·T²·KL(teacher ‖ student) + (1−α)·CE (Hinton et al. 2015), plus the
/// terms on values inside.
public struct TeacherPlan: Sendable, Equatable {
    /// At least one; the logits of several are averaged.
    public var members: [TeacherMember]
    public var temperature: Double
    public var alpha: Double
    /// Only with a single teacher; each measure at most once.
    public var features: [FeatureTerm]

    public init(
        members: [TeacherMember], temperature: Double = 4, alpha: Double = 0.7, features: [FeatureTerm] = []
    ) {
        self.members = members
        self.temperature = temperature
        self.alpha = alpha
        self.features = features
    }

    public init(source: TeacherSource, temperature: Double = 4, alpha: Double = 0.7, features: [FeatureTerm] = []) {
        self.init(members: [TeacherMember(source)], temperature: temperature, alpha: alpha, features: features)
    }

    /// The stages whose ends it learns from.
    public var stages: [Int] { members.compactMap { if case .stage(let stage) = $0.source { stage } else { nil } } }

    /// The files that the coordinator hands out.
    public var files: [String] { members.compactMap { if case .file(let path) = $0.source { path } else { nil } } }
}

extension Plan {
    /// Whether a stage learns from teachers that workers bring.
    public var needsOwnTeachers: Bool { stages.contains(where: \.needsOwnTeacher) }
}

extension StagePlan {
    var needsOwnTeacher: Bool { teacher?.members.contains { $0.source == .own } ?? false }
}
