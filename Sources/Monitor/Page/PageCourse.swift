import Federation

/// The slow half of what the page shows: what changes with the ledger or the model.
struct PageCourse: Sendable, Encodable {
    var course: Course
    var layers: [LayerFigures]
    var layersTotal: Int

    /// A model may have thousands; a page that lists them all helps nobody.
    static let layersLimit = 400

    init(course: RunCourse, layers: [LayerFigures]) {
        self.course = Course(course)
        self.layers = Array(layers.prefix(Self.layersLimit))
        layersTotal = layers.count
    }

    func isSame(as other: PageCourse) -> Bool {
        course.revision == other.course.revision && layersTotal == other.layersTotal && layers == other.layers
    }
}

extension PageCourse {
    /// `RunCourse` with its rounds in columns: a third of the bytes and of the time, for most of both are names.
    struct Course: Sendable, Encodable {
        var revision: Int
        var stages: [RunCourse.Stage]
        var rounds: Columns
        var roundsBefore: Int
        var refusals: [RunCourse.Refusals]
        var newestRefusals: [RefusalLog.Entry]

        init(_ course: RunCourse) {
            (revision, stages, roundsBefore) = (course.revision, course.stages, course.roundsBefore)
            rounds = Columns(course.rounds)
            (refusals, newestRefusals) = (course.refusals, course.newestRefusals)
        }
    }

    /// One array for each key of `RunCourse.Rounds` that the page shows.
    struct Columns: Sendable, Encodable {
        var first: [Int]
        var last: [Int]
        var stage: [Int]
        var task: [String]
        var seconds: [Double]
        var wireBytesUp: [Int]
        var wireBytesDown: [Int]
        var float32Bytes: [Int]
        var contributions: [Int]
        var refusals: [Int]
        var trainingLoss: [Double?]
        var testLoss: [Double?]
        var accuracy: [Double?]
        var sparsity: [Double]
        var bitsPerWeight: [Double?]

        init(_ rounds: [RunCourse.Rounds]) {
            (first, last) = (rounds.map(\.first), rounds.map(\.last))
            (stage, task, seconds) = (rounds.map(\.stage), rounds.map(\.task), rounds.map(\.seconds))
            (wireBytesUp, wireBytesDown) = (rounds.map(\.wireBytesUp), rounds.map(\.wireBytesDown))
            float32Bytes = rounds.map(\.float32Bytes)
            (contributions, refusals) = (rounds.map(\.contributions), rounds.map(\.refusals))
            (trainingLoss, testLoss) = (rounds.map(\.trainingLoss), rounds.map(\.testLoss))
            (accuracy, sparsity) = (rounds.map(\.accuracy), rounds.map(\.sparsity))
            bitsPerWeight = rounds.map(\.bitsPerWeight)
        }
    }
}
