import Compression
import Engine
import Federation
import ModelGraph
import Shell
import Tensors

/// A quantized model as a file that was read back and run, with what is to be said of it.
struct CompactFile {
    let bytes: [UInt8]
    /// The layers in their order: nothing was compared yet.
    let explanation: FileExplanation

    /// Fewer samples than this are told.
    private static let fewSamples = 128

    /// - Parameter isStrict: whether nodes that would compute in float32 are an error.
    /// - Throws: `ModelError.invalidRequest` for such nodes and for a file that is too large; as `ExportCheck.verify`.
    init(
        _ model: QuantizedModel, by quantizer: ModelQuantizer, _ evidence: QuantizationEvidence, isStrict: Bool
    ) throws {
        let target = quantizer.settings.target
        let audit = model.graph.fusionAudit(for: target)
        if isStrict { try Self.requireIntegers(audit, model) }
        try model.graph.requireFileSize()
        bytes = model.graph.serialized()
        let wasRun = try Self.check(bytes, model.graph)
        let remarks = Self.remarks(quantizer, evidence, wasRun: wasRun)
        let weights = model.layers.reduce(0) { $0 + $1.weights }
        let facts = QuantizationFacts(
            target: target.rawValue,
            averageBits: weights > 0
                ? model.layers.reduce(0.0) { $0 + Double($1.weights) * Double($1.bits) } / Double(weights) : nil,
            layers: model.layers.count, givenUp: model.givenUp, canRetreat: model.canRetreat, remarks: remarks,
            floatNodes: audit.floatEntries.map { "\($0.operator) '\($0.name)': \($0.reason ?? "")" },
            integerShare: audit.integerShare)
        explanation = FileExplanation(
            facts: facts, front: model.front, layers: quantizer.explain(model, evidence))
    }

    /// - Throws: `ModelError.invalidRequest` naming the first node that would compute in float32.
    static func requireIntegers(_ audit: FusionAudit, _ model: QuantizedModel) throws(ModelError) {
        let floats = audit.floatEntries
        guard let first = floats.first else { return }
        let mend =
            model.givenUp.isEmpty
            ? "leave 'strict' away to have the file all the same"
            : "'maximumDrop' has given up \(model.givenUp.count) of its layers: raise it, or leave 'strict' away"
        throw .invalidRequest(
            "export.strict: \(floats.count) nodes would stay float, the first of them \(first.operator) '\(first.name)': "
                + "\(first.reason ?? ""); \(mend)")
    }

    /// Loads what is to be kept and runs it beside the model in memory.
    /// - Returns: false where axes of the input are open, so that it was only loaded.
    static func check(_ bytes: [UInt8], _ graph: Graph) throws -> Bool {
        let inputs: NamedTensors
        do { inputs = try RandomBatch.inputs(for: graph) } catch EngineError.badBatch {
            _ = try Graph.load(bytes, path: "compact.onnx")
            return false
        }
        try ExportCheck.verify(bytes, path: "compact.onnx", against: graph, inputs: inputs)
        return true
    }

    // MARK: Remarks

    private static func remarks(
        _ quantizer: ModelQuantizer, _ evidence: QuantizationEvidence, wasRun: Bool
    ) -> [String] {
        var remarks = evidence.calibration.map { Self.remarks($0, quantizer.deployed) } ?? []
        let leftOut = evidence.moments.isEmpty ? [] : quantizer.momentLayout.leftOut
        if !leftOut.isEmpty {
            remarks.append("rounded to the nearest, as their moments are too large: " + leftOut.joined(separator: ", "))
        }
        if case .block = quantizer.settings.weights.granularity {
            let convolutions = quantizer.layers.filter(\.isConvolution).map(\.name)
            if !convolutions.isEmpty {
                remarks.append(
                    "scales a channel instead of blocks, as convolutions have no others: "
                        + convolutions.joined(separator: ", "))
            }
        }
        if !wasRun { remarks.append("the file was read back but not run, as axes of its input are open") }
        return remarks
    }

    private static func remarks(_ calibration: CalibrationSet, _ graph: Graph) -> [String] {
        var remarks: [String] = []
        if let samples = samples(calibration, graph), samples < fewSamples {
            remarks.append(
                "calibrated on \(samples) samples of the whole fleet: ranges may miss what others reach; \(fewSamples) or more are "
                    + "advised")
        }
        let constant = zip(calibration.names, calibration.histograms).filter {
            $1.count > 0 && $1.minimum == $1.maximum
        }
        if !constant.isEmpty {
            remarks.append(
                "the same for all samples: " + constant.map { "\($0) is \($1.minimum)" }.joined(separator: ", "))
        }
        return remarks
    }

    /// Samples that were counted, where a value's extents are known.
    private static func samples(_ calibration: CalibrationSet, _ graph: Graph) -> Int? {
        guard let shapes = try? graph.sampleShapes() else { return nil }
        for (name, histogram) in zip(calibration.names, calibration.histograms) {
            guard let elements = shapes[name]?.elementCount, elements > 0 else { continue }
            return Int(clamping: histogram.count) / elements
        }
        return nil
    }
}
