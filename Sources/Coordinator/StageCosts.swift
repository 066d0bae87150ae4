import Federation
import Ledger
import Monitor

/// What the models at the ends of a run's stages cost where they are used: figures for the report, which nothing in the
/// run depends on. A model that cannot be read, exported or timed has no figures; it never fails the run.
struct StageCosts: Equatable {
    /// Of one model. nil: not known.
    struct Cost: Equatable {
        var parameters: Int?
        /// Multiply-accumulates of one sample.
        var macs: Int?
        /// Of the file as it would be delivered.
        var bytes: Int?
        /// Of one sample in ONNX Runtime, one thread, median.
        var milliseconds: Double?
    }

    /// At the start, then at the end of each finished stage.
    var models: [Cost]
    var runtime: String?
    var runtimeVersion: String?
    /// Why some or all milliseconds are missing.
    var notMeasured: String?

    /// Blocks while models are timed: up to about 20 seconds, and what it takes to read and write them.
    /// - Parameter timer: nil when the plan wants no milliseconds.
    init(_ history: RunHistory, blobs: BlobStore, timer: ModelTimer?) {
        var survey = ModelSurvey(history, blobs)
        let measurement = timer.map { survey.measure($0) }
        // All of it where nothing is timed, and what a failure left.
        survey.count()
        models = survey.costs
        runtime = measurement?.runtime
        runtimeVersion = measurement?.runtimeVersion
        if let measurement {
            notMeasured = measurement.reason ?? measurement.models.compactMap(\.reason).first
            if notMeasured == nil, survey.untimed > 0 {
                notMeasured =
                    survey.foreignTarget.map { "the file for target '\($0)', which another runtime runs" }
                    ?? "\(survey.untimed) of the models, which cannot be read or are too many or too large"
            }
        } else {
            notMeasured = "the plan says export: {measure: false}"
        }
    }
}

extension Report {
    /// Takes over what another report of the same run holds beside its history.
    mutating func takeCosts(of other: Report) {
        guard stages.count == other.stages.count else { return }
        (quantization, layers) = (other.quantization, other.layers)
        (origin, tensors, files) = (other.origin, other.tensors, other.files)
        (startedAt, endedAt) = (other.startedAt, other.endedAt)
        (parametersBefore, parametersAfter) = (other.parametersBefore, other.parametersAfter)
        (macsBefore, macsAfter) = (other.macsBefore, other.macsAfter)
        (millisecondsBefore, millisecondsAfter) = (other.millisecondsBefore, other.millisecondsAfter)
        (runtime, runtimeVersion, notMeasured) = (other.runtime, other.runtimeVersion, other.notMeasured)
        for (index, stage) in other.stages.enumerated() {
            (stages[index].bytesBefore, stages[index].bytesAfter) = (stage.bytesBefore, stage.bytesAfter)
            stages[index].parametersBefore = stage.parametersBefore
            stages[index].parametersAfter = stage.parametersAfter
            (stages[index].macsBefore, stages[index].macsAfter) = (stage.macsBefore, stage.macsAfter)
            stages[index].millisecondsBefore = stage.millisecondsBefore
            stages[index].millisecondsAfter = stage.millisecondsAfter
        }
    }

    /// Takes over what was counted and timed.
    mutating func take(_ costs: StageCosts) {
        guard let first = costs.models.first, let last = costs.models.last else { return }
        (parametersBefore, parametersAfter) = (first.parameters, last.parameters)
        (macsBefore, macsAfter) = (first.macs, last.macs)
        (millisecondsBefore, millisecondsAfter) = (first.milliseconds, last.milliseconds)
        (runtime, runtimeVersion, notMeasured) = (costs.runtime, costs.runtimeVersion, costs.notMeasured)
        var bytes = bytesBefore
        for (index, (before, after)) in zip(costs.models, costs.models.dropFirst()).enumerated()
        where stages.indices.contains(index) {
            stages[index].bytesBefore = bytes
            bytes = after.bytes ?? stages[index].bytesAfter
            stages[index].bytesAfter = bytes
            (stages[index].parametersBefore, stages[index].parametersAfter) = (before.parameters, after.parameters)
            (stages[index].macsBefore, stages[index].macsAfter) = (before.macs, after.macs)
            stages[index].millisecondsBefore = before.milliseconds
            stages[index].millisecondsAfter = after.milliseconds
        }
    }
}
