import ModelGraph
import Tensors

/// Feature signals between two graphs, checked: every value exists, every pair can be compared, and whose widths differ
/// has a projector. Made before any training; a `Trainer` of the student adds the terms to its loss.
public struct FeatureMatching: Sendable, Equatable {
    public let signals: [FeatureSignal]
    /// The projectors' weights to start with, float32 `[teacher's channels, student's channels]`, by `projectorName`. Those
    /// of a trainer that is to go on come from `Trainer.projectors`.
    public private(set) var projectors: NamedTensors
    /// The names of the values that the student must give, each once.
    let studentValues: [String]
    /// The names of the values that the teacher must give, each once: what to ask `Executable.logits(_:features:)` for.
    public let teacherValues: [String]

    /// Most elements of one projector.
    static let projectorElements = 1 << 26

    /// - Parameters:
    ///   - seed: of the projectors' first values, uniform within ±1/√(student's channels) as in `torch.nn.Linear`; a
    ///     projector's depend on the seed and its name only.
    ///   - kept: projectors trained before, taken in place of first values; those left out start anew.
    /// - Throws: `EngineError.badSetting` for a weight that is not positive, a value that a graph does not compute, a
    ///   pair that cannot be compared (with the nearest value that can), a pair named twice, and a kept projector that
    ///   belongs to no pair or has another shape.
    public init(
        _ signals: [FeatureSignal], student: Graph, teacher: Graph, seed: UInt64,
        projectors kept: NamedTensors = NamedTensors()
    ) throws(EngineError) {
        self.signals = signals
        let (student, teacher) = (try FeatureValues(student, of: "student"), try FeatureValues(teacher, of: "teacher"))
        let comparesLengths = !student.hasOpenAxes && !teacher.hasOpenAxes
        var widths: [(name: String, shape: Shape)] = []
        for (index, signal) in signals.enumerated() {
            guard signal.weight > 0, signal.weight.isFinite else {
                throw .badSetting(
                    "the weight of \(signal.pair.text) is \(signal.weight): give a positive number, or leave the pair out"
                )
            }
            if signals[..<index].contains(where: { $0.measure == signal.measure && $0.pair == signal.pair }) {
                throw .badSetting("\(signal.measure.rawValue) of \(signal.pair.text) is named twice")
            }
            let (mine, theirs) = (
                try student.extents(of: signal.pair.student), try teacher.extents(of: signal.pair.teacher)
            )
            if let reason = signal.measure.misfit(student: mine, teacher: theirs, comparesLengths: comparesLengths) {
                let nearest = teacher.nearest(to: signal.pair) {
                    signal.measure.misfit(student: mine, teacher: $0, comparesLengths: comparesLengths) == nil
                }
                throw .badSetting(
                    "\(signal.pair.text), \(Self.text(mine)) and \(Self.text(theirs)), cannot be compared: \(reason)"
                        + (nearest.map { "; the teacher's nearest value that can is '\($0)'" } ?? ""))
            }
            guard let axis = signal.measure.channelAxis(rank: mine.count), mine[axis] != theirs[axis] else { continue }
            let (elements, overflow) = mine[axis].multipliedReportingOverflow(by: theirs[axis])
            guard !overflow, elements > 0, elements <= Self.projectorElements,
                let shape = try? Shape([theirs[axis], mine[axis]])
            else {
                throw .badSetting(
                    "\(signal.pair.text): no projector from \(mine[axis]) to \(theirs[axis]) channels is possible")
            }
            widths.append((signal.pair.projectorName, shape))
        }
        projectors = try Self.projectors(widths, seed: seed, kept: kept)
        studentValues = Self.unique(signals.map(\.pair.student))
        teacherValues = Self.unique(signals.map(\.pair.teacher))
    }

    /// The same with projectors that were trained before, where one of that name and shape is needed; others are left out.
    public func adopting(_ kept: NamedTensors) -> FeatureMatching {
        var matching = self
        for (name, start) in projectors.ordered {
            guard let tensor = kept[name], tensor.elementType == .float32, tensor.shape == start.shape else { continue }
            matching.projectors[name] = tensor
        }
        return matching
    }

    private static func projectors(
        _ widths: [(name: String, shape: Shape)], seed: UInt64, kept: NamedTensors
    ) throws(EngineError) -> NamedTensors {
        var projectors = NamedTensors()
        for (name, shape) in widths {
            guard let tensor = kept[name] else {
                projectors[name] = start(name, shape, seed: seed)
                continue
            }
            guard tensor.elementType == .float32, tensor.shape == shape else {
                throw .badSetting(
                    "the kept '\(name)' is \(tensor.elementType) \(tensor.shape) but the pair needs float32 \(shape)")
            }
            projectors[name] = tensor
        }
        for name in kept.names where projectors[name] == nil {
            throw .badSetting(
                "the kept '\(name)' belongs to no pair\(NearestName.hint(for: name, in: projectors.names))")
        }
        return projectors
    }

    private static func start(_ name: String, _ shape: Shape, seed: UInt64) -> Tensor {
        var generator = SeededGenerator(seed: seed, labels: "projector", name)
        let bound = 1 / Float(shape[1]).squareRoot()
        return Tensor((0..<shape.elementCount).map { _ in (2 * generator.uniform() - 1) * bound }, shape: shape)
    }

    /// Extents whose first means nothing.
    private static func text(_ extents: [Int]) -> String {
        "[" + (["n"] + extents.dropFirst().map(String.init)).joined(separator: ", ") + "]"
    }

    private static func unique(_ names: [String]) -> [String] {
        var seen = Set<String>()
        return names.filter { seen.insert($0).inserted }
    }
}

extension FeaturePair {
    /// In front of every projector's name.
    public static let projectorPrefix = "projector:"

    /// The name of the pair's projector, where its widths differ.
    public var projectorName: String { "\(Self.projectorPrefix)\(student):\(teacher)" }

    var text: String { "the pair '\(student)' (student) and '\(teacher)' (teacher)" }
}

/// What a graph computes, with shapes for inputs that are made up where the file leaves axes open.
private struct FeatureValues {
    let role: String
    let hasOpenAxes: Bool
    /// Outputs of nodes in order.
    private let names: [String]
    private let shapes: [String: Shape]

    init(_ graph: Graph, of role: String) throws(EngineError) {
        self.role = role
        hasOpenAxes = !graph.openAxes.isEmpty
        names = graph.nodes.flatMap(\.outputs).filter { !$0.isEmpty }
        do { shapes = try graph.shapesOfSomeInput() } catch {
            throw .badSetting("the shapes of the \(role)'s values cannot be told: \(error)")
        }
    }

    func extents(of name: String) throws(EngineError) -> [Int] {
        guard names.contains(name), let shape = shapes[name] else {
            let hint =
                NearestName.suggestion(for: name, in: names).map { "; did you mean '\($0)'?" }
                ?? "; it computes \(names.prefix(5).joined(separator: ", "))\(names.count > 5 ? ", ..." : "")"
            throw .badSetting("the \(role) computes no value '\(name)'\(hint)")
        }
        return shape.dimensions
    }

    /// The value most like the pair's second that can be compared with its first: by name, or else by place.
    func nearest(to pair: FeaturePair, isValid: ([Int]) -> Bool) -> String? {
        let valid = names.filter { name in shapes[name].map { isValid($0.dimensions) } ?? false }
        if let similar = NearestName.suggestion(for: pair.teacher, in: valid) { return similar }
        var places: [String: Int] = [:]
        for (index, name) in names.enumerated() { places[name] = index }
        guard let place = places[pair.teacher] else { return valid.first }
        return valid.min { abs((places[$0] ?? 0) - place) < abs((places[$1] ?? 0) - place) }
    }
}
