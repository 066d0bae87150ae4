import ArgumentParser
import Compression
import Engine
import ModelGraph
import Monitor
import Tensors

struct ModelQuantizeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "quantize",
        abstract: "Quantize one file for a target's runtime, with calibration data.",
        discussion: """
            The numerics of quantization on one file: histograms of activations, rounding by second moments (adaround, gptq), \
            corrected biases, bits for each layer within a budget. What is written is run before it is called done, and the \
            report says of each layer what it lost and why.

            Examples:
              pleach model quantize cnn.onnx --data 'idx:../shared/data/mnist' --out compact.onnx
              pleach model quantize resnet20.onnx --data 'folder:cifar10' --bits 4 --rounding adaround --out four.onnx
              pleach model quantize resnet20.onnx --data 'folder:cifar10' --average-bits 4 --rounding adaround --out mixed.onnx
              pleach model quantize bert.onnx --target int4 --out small.onnx
            """)

    @Argument(help: "The ONNX file.")
    var file: String

    @Option(help: "The data SPEC to measure on (its training split unless it says otherwise).")
    var data: String?

    @Option(help: "The ONNX file to write.")
    var out: String

    @OptionGroup(title: "What is written") var form: QuantizationForm

    @OptionGroup(title: "Bits") var budget: QuantizationBudget

    @OptionGroup(title: "How") var method: QuantizationMethod

    @OptionGroup var extents: ExtentOptions

    @OptionGroup var engine: EngineOptions

    @Flag(help: "Print JSON.")
    var json = false

    func run() async throws {
        try await exitingOnError {
            let settings = try parsedSettings()
            let graph = try Graph.load(path: file)
            try graph.validateOperators(supported: SupportedOperators.table)
            try engine.apply()
            let quantizer = try ModelQuantizer(graph, settings: settings)
            let run = try prepared(quantizer, graph)
            var warnings: [String] = []
            let evidence = try run.evidence { warnings.append($0) }
            warnings.forEach(printWarning)
            let model = try quantizer.quantize(evidence)
            try model.graph.requireFileSize()
            let bytes = model.graph.serialized()
            let comparison = try run.comparison(of: model)
            var report = QuantizeReport(
                model, quantizer: quantizer, evidence: evidence, comparison: comparison, out: out,
                bytesBefore: graph.serializedByteCount, bytes: bytes.count,
                samples: run.dataset.map { min($0.count, run.samples) } ?? 0)
            report.remarks = remarks(quantizer, evidence)
            if form.strict, let first = report.floatNodes.first {
                throw ModelError.invalidRequest(
                    "--strict: \(report.floatNodes.count) nodes would stay float, the first of them \(first.operator) "
                        + "'\(first.name)': \(first.reason); leave --strict away to write the file")
            }
            try verify(bytes, against: model, run)
            try writeFile(bytes, to: out)
            if json { return try printJSON(report) }
            print(report.lines.joined(separator: "\n"))
        }
    }

    private func prepared(_ quantizer: ModelQuantizer, _ graph: Graph) throws -> QuantizationRun {
        let samples = method.samples ?? 1_024
        let (sensitivity, compared) = (method.sensitivitySamples ?? 256, method.comparedSamples ?? 256)
        guard samples > 0, sensitivity > 0, compared > 0 else {
            throw ValidationError("--samples, --sensitivity-samples and --compared-samples must be at least 1")
        }
        let needsData =
            !quantizer.points.isEmpty || quantizer.settings.rounding != .nearest || quantizer.needsSensitivities
        guard data != nil || !needsData else {
            throw ValidationError(
                "target '\(form.target)' with these options needs data to measure on: give --data SPEC")
        }
        let dataset = try data.map { try loadDataset($0, defaultSplit: .train) }
        try dataset?.checkFits(graph)
        if let dataset, !quantizer.points.isEmpty, min(dataset.count, samples) < 128 {
            printWarning(
                "calibrated on \(min(dataset.count, samples)) samples only: ranges may miss what others reach; 128 or more "
                    + "are advised")
        }
        return QuantizationRun(
            quantizer: quantizer, dataset: dataset, samples: samples, sensitivitySamples: sensitivity,
            comparedSamples: compared)
    }

    private func parsedSettings() throws -> QuantizationSettings {
        let target: DeploymentTarget = try parseChoice(form.target, "--target")
        try QuantizationOptionChecks(target: target, form: form, budget: budget, method: method, hasData: data != nil)
            .run()
        let amount = try budget.amount()
        return QuantizationSettings(
            target: target, weights: try method.scheme(for: target, bits: budget.bits, hasBudget: amount != .same),
            rounding: try method.rounding.map { try parseChoice($0, "--rounding") } ?? .nearest, amount: amount,
            candidates: budget.candidates.isEmpty ? nil : budget.candidates.sorted(), excluded: method.exclude,
            equalizes: method.equalize, correctsBiases: !method.noBiasCorrection,
            calibration: try CalibrationMethod.named(
                method.calibration ?? "percentile", percentile: method.percentile ?? 99.999),
            hasPowerOfTwoActivations: method.powerOfTwo, opset: form.opset.map(Int64.init), packs: !form.unpacked)
    }

    private func remarks(_ quantizer: ModelQuantizer, _ evidence: QuantizationEvidence) -> [String] {
        var remarks: [String] = []
        let leftOut = evidence.moments.isEmpty ? [] : quantizer.momentLayout.leftOut
        if !leftOut.isEmpty {
            remarks.append(
                "rounded to the nearest, as their moments are too large or cannot be measured: "
                    + leftOut.joined(separator: ", "))
        }
        if case .block = quantizer.settings.weights.granularity {
            let convolutions = quantizer.layers.filter(\.isConvolution).map(\.name)
            if !convolutions.isEmpty {
                remarks.append(
                    "scales a channel instead of a block, as convolutions have no blocks: "
                        + convolutions.joined(separator: ", "))
            }
        }
        return remarks
    }

    /// Loads what is to be written and runs it: it must say what the model in memory says.
    private func verify(_ bytes: [UInt8], against model: QuantizedModel, _ run: QuantizationRun) throws {
        guard let inputs = try inputs(for: model.deployed, run) else {
            _ = try Graph.load(bytes, path: out)
            return printWarning(
                "the file was read back but not run, as axes of its input are open: give --extent or --data to have it run"
            )
        }
        try ExportCheck.verify(bytes, path: out, against: model.graph, inputs: inputs)
    }

    /// A sample, or noise of the model's extents; nil where these are open.
    private func inputs(for graph: Graph, _ run: QuantizationRun) throws -> NamedTensors? {
        if let sample = try run.firstBatch() { return sample }
        do {
            return try RandomBatch.inputs(for: graph, extents: extents.parsed())
        } catch EngineError.badBatch {
            return nil
        }
    }
}
