import Engine
import ModelGraph
import Tensors

/// Pairs of values of a student and a teacher, found by their place in the networks, for whoever names none.
public struct FeatureProposal: Sendable, Equatable {
    /// Stages or encoder layers, for `hiddenStates`; those whose planes fit also for `attentionMaps`.
    public let hiddenStates: [FeaturePair]
    /// For `attentionMatrices` and `attentionDivergence`; empty where a network shows none, or heads differ.
    public let attentionMatrices: [FeaturePair]

    /// Stages of the same depth, and of the same size where both networks have such: see `Graph.stageOutputs`. Of n and m
    /// stages min(n, m) are paired, evenly spread, the last with the last (Jiao et al. 2020, section 3.2: uniform).
    /// Channels may differ.
    /// - Throws: `ModelError` where shapes cannot be inferred.
    public init(student: Graph, teacher: Graph) throws {
        let stages = Self.stages(try student.stageOutputs(), try teacher.stageOutputs())
        let matrices = Self.evenly(
            try student.attentionMatrices().map(\.name), try teacher.attentionMatrices().map(\.name))
        func fits(_ measure: FeatureSignal.Measure, _ pair: FeaturePair) -> Bool {
            let signal = FeatureSignal(measure, pair, weight: 1)
            return (try? FeatureMatching([signal], student: student, teacher: teacher, seed: 0)) != nil
        }
        hiddenStates = stages.filter { fits(.hiddenStates, $0) }
        attentionMatrices = matrices.filter { fits(.attentionMatrices, $0) }
    }

    /// The proposed pairs for a measure.
    /// - Throws: `CompressionError.noFeaturePairs` where there are none.
    public func signals(
        _ measure: FeatureSignal.Measure, weight: Double
    ) throws(CompressionError) -> [FeatureSignal] {
        let pairs =
            switch measure {
            case .hiddenStates, .attentionMaps: hiddenStates
            case .attentionMatrices, .attentionDivergence: attentionMatrices
            }
        guard !pairs.isEmpty else { throw .noFeaturePairs(measure: measure.rawValue) }
        return pairs.map { FeatureSignal(measure, $0, weight: weight) }
    }

    private static func stages(
        _ student: [(name: String, shape: Shape)], _ teacher: [(name: String, shape: Shape)]
    ) -> [FeaturePair] {
        if student.count != teacher.count {
            let bySize = student.compactMap { stage -> FeaturePair? in
                guard let size = size(of: stage.shape) else { return nil }
                return teacher.last { Self.size(of: $0.shape) == size }
                    .map { FeaturePair(student: stage.name, teacher: $0.name) }
            }
            if !bySize.isEmpty { return bySize }
        }
        return evenly(student.map(\.name), teacher.map(\.name))
    }

    /// Height and width; nil for values without planes.
    private static func size(of shape: Shape) -> [Int]? { shape.rank == 4 ? Array(shape.dimensions.suffix(2)) : nil }

    static func evenly(_ student: [String], _ teacher: [String]) -> [FeaturePair] {
        let count = min(student.count, teacher.count)
        return (1..<count + 1).map { place in
            FeaturePair(
                student: student[place * student.count / count - 1],
                teacher: teacher[place * teacher.count / count - 1])
        }
    }
}
