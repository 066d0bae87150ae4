import Compression
import Federation
import ModelGraph
import Shell
import Tensors
import UpdateCodec

// A `quantize` stage on the structure that earlier stages leave: names, opset, budgets, simulated rounding, float nodes.

extension StageRehearsal {
    /// Numbers that data would give are made up.
    mutating func rehearse(_ stage: QuantizePlan) throws {
        let target = stage.rules.scope.target
        try checkNames(of: stage.rules.scope)
        try checkInputs(of: stage)
        var settings = try QuantizationSettings(stage.rules).fitting(graph)
        // Schemes that the target or the levels cannot have.
        _ = try ModelQuantizer(graph, settings: settings)
        // What only data decide, and what takes time without changing what can be had.
        (settings.rounding, settings.correctsBiases, settings.weights.range) = (.nearest, false, .minMax)
        let quantizer = try ModelQuantizer(graph, settings: settings)
        guard !quantizer.layers.isEmpty else {
            throw CompressionError.valueOutOfRange(
                "the model has no weight that target '\(target.rawValue)' quantizes: name another target, or exclude fewer"
            )
        }
        try checkMoments(of: stage, quantizer)
        var evidence = quantizer.rehearsalEvidence()
        if case .milliseconds = stage.rules.amount {
            guard target != .tensorrt else {
                throw CompressionError.valueOutOfRange(
                    "milliseconds are measured in ONNX Runtime, which is not what target 'tensorrt' runs in: give 'averageBits' "
                        + "instead")
            }
            evidence.times = try LayerTimes(quantizer, evidence, time: time)
        }
        let model = try quantizer.quantize(evidence)
        try model.graph.requireFileSize()
        measured.layers = quantizer.layers.count
        measured.points = quantizer.points.count
        measured.fileBytes = model.graph.serializedByteCount
        if plan.export.strict {
            try CompactFile.requireIntegers(model.graph.fusionAudit(for: settings.target), model)
        }
        guard stage.isSimulated else { return }
        if let objection = quantizer.simulationObjection { throw CompressionError.valueOutOfRange(objection) }
        graph = try quantizer.simulating(graph, evidence)
    }

    /// Names are those of the opening model, or of what stages before have made of its layers.
    private func checkNames(of scope: QuantizationScope) throws {
        func check(_ name: String, in graph: Graph) throws {
            _ = try ModelQuantizer(
                graph, settings: QuantizationSettings(target: DeploymentTarget(scope.target), excluded: [name]))
        }
        for name in scope.excluded where (try? check(name, in: opening)) == nil { try check(name, in: graph) }
    }

    /// Workers measure models with one input.
    private func checkInputs(of stage: QuantizePlan) throws {
        let target = stage.rules.scope.target
        let measures =
            target.needsCalibration || stage.needsMoments || !stage.bitsOfBudget.isEmpty || stage.comparedSamples > 0
            || stage.maximumDrop != nil
        guard measures, graph.inputs.count != 1 else { return }
        let mend =
            target.needsCalibration
            ? "quantize it for target 'int8-weights' or 'dynamic', without data"
            : "set correctBiases: false and comparedSamples: 0, and leave budgets, other roundings and 'maximumDrop' away"
        throw CompressionError.valueOutOfRange(
            "quantization is measured on models with one input, and this one has \(graph.inputs.count): \(mend)")
    }

    private mutating func checkMoments(of stage: QuantizePlan, _ quantizer: ModelQuantizer) throws {
        guard stage.needsMoments else { return }
        let bytes = MomentSet.byteCount(of: quantizer.momentLayout.moments)
        measured.momentBytes = bytes
        guard bytes <= min(plan.limits.blobBytes, MomentSet.byteLimit) else {
            throw CompressionError.valueOutOfRange(
                "the moments of its layers take \(bytes) bytes, more than limits.blob: raise it, exclude layers, or set "
                    + "rounding: nearest and correctBiases: false")
        }
    }
}
