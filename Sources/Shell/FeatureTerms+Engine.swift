import Compression
import Engine
import Federation
import ModelGraph

extension InputResizing.Method {
    public init(_ resize: TeacherResize) {
        self =
            switch resize {
            case .nearest: .nearest
            case .bilinear: .bilinear
            }
    }
}

extension FeatureSignal.Measure {
    public init(_ measure: FeatureMeasure) {
        self =
            switch measure {
            case .hiddenStates: .hiddenStates
            case .attentionMaps: .attentionMaps
            case .attentionMatrices: .attentionMatrices
            case .attentionDivergence: .attentionDivergence
            }
    }
}

extension [FeatureTerm] {
    /// The engine's signals, one a pair. Where a term names no pairs they are found by their places in the networks.
    /// - Throws: `CompressionError.noFeaturePairs` where none can be found; `ModelError` where shapes cannot be inferred.
    public func signals(student: Graph, teacher: Graph) throws -> [FeatureSignal] {
        let proposal = contains { $0.pairs.isEmpty } ? try FeatureProposal(student: student, teacher: teacher) : nil
        return try flatMap { term -> [FeatureSignal] in
            let measure = FeatureSignal.Measure(term.measure)
            if let proposal, term.pairs.isEmpty { return try proposal.signals(measure, weight: term.weight) }
            return term.pairs.map {
                FeatureSignal(measure, FeaturePair(student: $0.student, teacher: $0.teacher), weight: term.weight)
            }
        }
    }
}
