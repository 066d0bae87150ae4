import Federation
import ModelGraph
import Tensors
import UpdateCodec

/// How large a model is, tensor by tensor, and how much of it is alive: all that its bytes on the wire follow from.
struct ModelOutline: Sendable {
    let parts: [ExpectedSize.Part]
    let size: ModelSize

    init(_ graph: Graph, _ masks: MaskSet = MaskSet()) {
        parts = graph.parameters.map { parameter in
            ExpectedSize.Part(
                elements: parameter.shape.elementCount, alive: masks[parameter.name]?.populationCount,
                isExact: parameter.role == .statistic)
        }
        size = ModelSize(of: graph)
    }

    /// Numbers of all parameters, running statistics too.
    var elements: Int { parts.reduce(0) { $0 + $1.elements } }

    /// Share of all of them that a mask has taken.
    var deadShare: Double {
        let whole = elements
        return whole == 0 ? 0 : 1 - Double(parts.reduce(0) { $0 + $1.alive }) / Double(whole)
    }
}

/// What one decision of a rehearsed stage made of the model.
struct RehearsedDecision: Sendable {
    let outcome: StepOutcome
    let model: ModelOutline
    /// What each worker sends for it, where it asks them.
    let scores: [ExpectedSize.Part]
    /// Of the structure change that workers get; nil where weights are masked.
    let changeBytes: Int?
}

/// What became of the model in one stage.
struct RehearsedStage: Sendable {
    /// In order. A stage of many steps, or with a budget of milliseconds, is rehearsed with one.
    let decisions: [RehearsedDecision]
    let end: Graph
    let model: ModelOutline
    let measured: RehearsedMeasurements
}

/// What workers measure for a stage, and the file that becomes of it.
struct RehearsedMeasurements: Sendable {
    /// Of the second moments that each worker sends.
    var momentBytes = 0
    /// Quantized weights, and values whose histograms are taken.
    var layers = 0
    var points = 0
    /// Of the compact file; 0 where the stage writes none.
    var fileBytes = 0
}
