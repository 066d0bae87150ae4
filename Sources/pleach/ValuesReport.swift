import Compression
import Engine
import ModelGraph
import Monitor
import Tensors

/// Values inside a model that a student can learn from, or that it can learn from a teacher's.
struct ValuesReport: Codable {
    struct Value: Codable {
        var name: String
        /// Of one sample.
        var shape: [Int]
    }
    struct Pair: Codable {
        var student: String
        var teacher: String
    }

    var stages: [Value]
    var attentionMatrices: [Value]
    /// What a plan that names no pairs gets; nil without a teacher.
    var stagePairs: [Pair]?
    var attentionPairs: [Pair]?

    init(_ graph: Graph, teacher: Graph?) throws {
        stages = try graph.stageOutputs().map { Value(name: $0.name, shape: Array($0.shape.dimensions.dropFirst())) }
        attentionMatrices = try graph.attentionMatrices().map {
            Value(name: $0.name, shape: Array($0.shape.dimensions.dropFirst()))
        }
        guard let teacher else { return }
        let proposal = try FeatureProposal(student: graph, teacher: teacher)
        stagePairs = proposal.hiddenStates.map { Pair(student: $0.student, teacher: $0.teacher) }
        attentionPairs = proposal.attentionMatrices.map { Pair(student: $0.student, teacher: $0.teacher) }
    }

    var lines: [String] {
        var lines = Self.section("ends of stages and layers (hiddenStates, attentionMaps)", stages)
        lines += Self.section("attention matrices (attentionMatrices, attentionDivergence)", attentionMatrices)
        if let stagePairs { lines += Self.section("pairs of stages with the teacher", stagePairs) }
        if let attentionPairs { lines += Self.section("pairs of attention matrices with the teacher", attentionPairs) }
        return lines
    }

    private static func section(_ title: String, _ values: [Value]) -> [String] {
        ["\(title): \(values.isEmpty ? "none" : "\(values.count)")"]
            + values.map { value in
                let extents = (["n"] + value.shape.map(String.init)).joined(separator: "x")
                return "  \(escapedForTerminal(value.name, limit: 4000))  \(extents)"
            }
    }

    private static func section(_ title: String, _ pairs: [Pair]) -> [String] {
        ["\(title): \(pairs.isEmpty ? "none" : "\(pairs.count)")"]
            + pairs.map {
                "  [\(escapedForTerminal($0.student, limit: 4000)), \(escapedForTerminal($0.teacher, limit: 4000))]"
            }
    }
}
