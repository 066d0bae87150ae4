import Federation
import Foundation

/// Two runs side by side: their figures with differences, stage by stage and weight by weight where both have the same, and
/// what their plans say differently.
public struct RunComparison: Sendable {
    /// What a figure counts, which decides how it and a difference are written.
    enum Unit: Sendable {
        case share, bytes, count, seconds, milliseconds, number
    }

    /// One figure of both runs; nil is unknown.
    public struct Figure: Sendable, Encodable {
        /// As in `out/report.json`.
        public var key: String
        public var a: Double?
        public var b: Double?
        public var difference: Double?
        var label: String
        var unit: Unit

        init(_ key: String, _ label: String, _ unit: Unit, _ a: Double?, _ b: Double?) {
            (self.key, self.label, self.unit) = (key, label, unit)
            (self.a, self.b) = (a.finite, b.finite)
            difference = self.a.flatMap { a in self.b.map { $0 - a } }.finite
        }

        var isKnown: Bool { a != nil || b != nil }
    }

    /// The figures of what both runs have under one name.
    public struct Part: Sendable, Encodable {
        public var name: String
        public var figures: [Figure]
    }

    /// A place in the plans at which they differ; nil where one says nothing.
    public struct Setting: Sendable, Equatable, Encodable {
        public var key: String
        public var a: String?
        public var b: String?
    }

    public let nameA: String
    public let nameB: String
    let a: Report
    let b: Report
    public let figures: [Figure]
    public let stages: [Part]
    /// Why stages cannot be compared one by one, where they cannot.
    public let stagesRemark: String?
    public let layers: [Part]
    public let settings: [Setting]
    /// Why settings are not compared, where they are not.
    public let settingsRemark: String?
    /// Why the runs are not like and like, a phrase each; empty where nothing speaks against it.
    public let differences: [String]

    /// - Parameters:
    ///   - nameA: what A is called; where both are called the same they are told apart as A and B.
    public init(_ a: Report, _ b: Report, nameA: String, nameB: String) {
        (self.a, self.b) = (a, b)
        (self.nameA, self.nameB) = nameA == nameB ? ("A", "B") : (nameA, nameB)
        figures = Self.figures(a, b)
        (stages, stagesRemark) = Self.stages(a, b)
        layers = Self.layers(a, b)
        (settings, settingsRemark) = Self.settings(a.origin, b.origin)
        differences = Self.differences(a, b)
    }

    private static func figures(_ a: Report, _ b: Report) -> [Figure] {
        func figure(_ key: String, _ label: String, _ unit: Unit, _ value: (Report) -> Double?) -> Figure {
            Figure(key, label, unit, value(a), value(b))
        }
        func count(_ value: Int?) -> Double? { value.map(Double.init) }
        return [
            figure("accuracyBefore", "accuracy before", .share, \.accuracyBefore),
            figure("accuracyAfter", "accuracy after", .share, \.accuracyAfter),
            figure("bytesBefore", "model file before", .bytes) { Double($0.bytesBefore) },
            figure("bytesAfter", "model file after", .bytes) { Double($0.bytesAfter) },
            figure("parametersBefore", "parameters before", .count) { count($0.parametersBefore) },
            figure("parametersAfter", "parameters after", .count) { count($0.parametersAfter) },
            figure("macsBefore", "multiply-accumulates before", .count) { count($0.macsBefore) },
            figure("macsAfter", "multiply-accumulates after", .count) { count($0.macsAfter) },
            figure("sparsity", "masked weights", .share, \.sparsity),
            figure("millisecondsBefore", "ms a sample before", .milliseconds, \.millisecondsBefore),
            figure("millisecondsAfter", "ms a sample after", .milliseconds, \.millisecondsAfter),
            figure("wireBytesUp", "bytes up", .bytes) { Double($0.wireBytesUp) },
            figure("wireBytesDown", "bytes down", .bytes) { Double($0.wireBytesDown) },
            figure("wireBytesFloat32", "float32 averaging", .bytes) { Double($0.wireBytesFloat32) },
            figure("rounds", "rounds", .count) { Double($0.rounds) },
            figure("seconds", "time", .seconds, \.seconds),
            figure("refused", "contributions refused", .count) { Double($0.refused) },
            figure("workers", "workers", .count) { count($0.workersTotal ?? $0.origin?.workers) },
        ].filter(\.isKnown)
    }

    private static func stages(_ a: Report, _ b: Report) -> ([Part], String?) {
        let same = zip(a.stages, b.stages).prefix { $0.kind == $1.kind }
        let parts = same.enumerated().map { index, pair in
            Part(name: "\(index + 1) \(pair.0.kind)", figures: figures(pair.0, pair.1))
        }
        let most = max(a.stages.count, b.stages.count)
        guard parts.count < most else { return (parts, nil) }
        let kinds = { (report: Report) in
            let rest = report.stages.dropFirst(parts.count).prefix(8).map(\.kind)
            return rest.isEmpty ? "no stage" : rest.joined(separator: ", ")
        }
        return (parts, "from stage \(parts.count + 1) on the runs have other stages: \(kinds(a)) against \(kinds(b))")
    }

    private static func figures(_ a: Report.Stage, _ b: Report.Stage) -> [Figure] {
        func count(_ value: Int?) -> Double? { value.map(Double.init) }
        return [
            Figure("accuracyAfter", "accuracy", .share, a.accuracyAfter, b.accuracyAfter),
            Figure("loss", "loss", .number, a.loss, b.loss),
            Figure("bytesAfter", "file", .bytes, Double(a.bytesAfter), Double(b.bytesAfter)),
            Figure("parametersAfter", "parameters", .count, count(a.parametersAfter), count(b.parametersAfter)),
            Figure("macsAfter", "MACs", .count, count(a.macsAfter), count(b.macsAfter)),
            Figure("sparsity", "masked", .share, a.sparsity, b.sparsity),
            Figure("wireBytesUp", "up", .bytes, Double(a.wireBytesUp), Double(b.wireBytesUp)),
            Figure("wireBytesDown", "down", .bytes, Double(a.wireBytesDown), Double(b.wireBytesDown)),
            Figure("rounds", "rounds", .count, Double(a.rounds), Double(b.rounds)),
            Figure("seconds", "time", .seconds, a.seconds, b.seconds),
        ].filter(\.isKnown)
    }

    /// Weights that both runs end with, by name, in A's order.
    private static func layers(_ a: Report, _ b: Report) -> [Part] {
        let others = Dictionary(b.tensors.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
        let noise = [a, b].map { report in
            Dictionary(report.layers.map { ($0.layer, $0) }, uniquingKeysWith: { first, _ in first })
        }
        return a.tensors.compactMap { tensor in
            guard let other = others[tensor.name], tensor.shapeAfter != nil, other.shapeAfter != nil else { return nil }
            let figures = [
                Figure(
                    "elements", "elements", .count, Report.Tensor.elements(tensor.shapeAfter).map(Double.init),
                    Report.Tensor.elements(other.shapeAfter).map(Double.init)),
                Figure("alive", "alive", .count, tensor.alive.map(Double.init), other.alive.map(Double.init)),
                Figure("bits", "bits", .number, tensor.bits, other.bits),
                Figure(
                    "signalToNoise", "noise, dB", .number, noise[0][tensor.name]?.signalToNoise,
                    noise[1][tensor.name]?.signalToNoise),
            ]
            return Part(name: tensor.name, figures: figures.filter(\.isKnown))
        }
    }
}
