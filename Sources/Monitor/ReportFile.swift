import Foundation

extension Report {
    /// Reads `out/report.json`.
    /// - Throws: `MonitorError.report` for anything else, `.file` for what cannot be read.
    public init(contentsOf path: String) throws(MonitorError) {
        guard let data = try RegularFile.read(path, limit: Self.byteLimit), let report = Report(parsing: data) else {
            throw .report(path)
        }
        self = report
    }

    /// Reads the bytes of `out/report.json`; nil for anything else.
    public init?(parsing data: Data) {
        guard data.count <= Self.byteLimit, let report = try? JSONDecoder().decode(Report.self, from: data),
            report.isPlausible
        else { return nil }
        self = report
    }

    /// Pretty JSON with sorted keys and a newline: the same report has the same bytes.
    public func serialized() -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        guard let data = try? encoder.encode(self) else { preconditionFailure("a report holds finite numbers only") }
        return Array(data) + [UInt8(ascii: "\n")]
    }

    /// Writes the file atomically and durably: the old report or the new one, never half.
    public func write(to path: String) throws(MonitorError) { try DurableFile.write(serialized(), to: path) }

    /// Writes the page in the same way.
    public func writePage(to path: String) throws(MonitorError) { try DurableFile.write(page(), to: path) }
}

extension Report {
    private enum Key: String, CodingKey {
        case run, plan, accuracyBefore, accuracyAfter, bytesBefore, bytesAfter, sparsity, wireBytesUp, wireBytesDown
        case wireBytesFloat32, rounds, seconds, refused, stages
        case parametersBefore, parametersAfter, macsBefore, macsAfter, millisecondsBefore, millisecondsAfter
        case runtime, runtimeVersion, notMeasured, roundDetails, quantization, layers
        case state, stagesPlanned, startedAt, endedAt, origin, tensors, workers, workersTotal, refusals, newestRefusals
        case files
    }

    /// Written by hand because lists that earlier versions did not write are empty, not an error.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: Key.self)
        func list<Element: Decodable>(_ key: Key) throws -> [Element] {
            try container.decodeIfPresent([Element].self, forKey: key) ?? []
        }
        self.init(
            run: try container.decode(String.self, forKey: .run),
            plan: try container.decode(String.self, forKey: .plan),
            accuracyBefore: try container.decodeIfPresent(Double.self, forKey: .accuracyBefore),
            accuracyAfter: try container.decodeIfPresent(Double.self, forKey: .accuracyAfter),
            bytesBefore: try container.decode(Int.self, forKey: .bytesBefore),
            bytesAfter: try container.decode(Int.self, forKey: .bytesAfter),
            sparsity: try container.decode(Double.self, forKey: .sparsity),
            wireBytesUp: try container.decode(Int.self, forKey: .wireBytesUp),
            wireBytesDown: try container.decode(Int.self, forKey: .wireBytesDown),
            wireBytesFloat32: try container.decode(Int.self, forKey: .wireBytesFloat32),
            rounds: try container.decode(Int.self, forKey: .rounds),
            seconds: try container.decode(Double.self, forKey: .seconds),
            refused: try container.decode(Int.self, forKey: .refused), stages: try list(.stages))
        parametersBefore = try container.decodeIfPresent(Int.self, forKey: .parametersBefore)
        parametersAfter = try container.decodeIfPresent(Int.self, forKey: .parametersAfter)
        macsBefore = try container.decodeIfPresent(Int.self, forKey: .macsBefore)
        macsAfter = try container.decodeIfPresent(Int.self, forKey: .macsAfter)
        millisecondsBefore = try container.decodeIfPresent(Double.self, forKey: .millisecondsBefore)
        millisecondsAfter = try container.decodeIfPresent(Double.self, forKey: .millisecondsAfter)
        runtime = try container.decodeIfPresent(String.self, forKey: .runtime)
        runtimeVersion = try container.decodeIfPresent(String.self, forKey: .runtimeVersion)
        notMeasured = try container.decodeIfPresent(String.self, forKey: .notMeasured)
        quantization = try container.decodeIfPresent(Quantization.self, forKey: .quantization)
        (roundDetails, layers, tensors) = (try list(.roundDetails), try list(.layers), try list(.tensors))
        state = try container.decodeIfPresent(String.self, forKey: .state)
        stagesPlanned = try container.decodeIfPresent(Int.self, forKey: .stagesPlanned)
        startedAt = try container.decodeIfPresent(String.self, forKey: .startedAt)
        endedAt = try container.decodeIfPresent(String.self, forKey: .endedAt)
        origin = try container.decodeIfPresent(Origin.self, forKey: .origin)
        workersTotal = try container.decodeIfPresent(Int.self, forKey: .workersTotal)
        (workers, refusals) = (try list(.workers), try list(.refusals))
        (newestRefusals, files) = (try list(.newestRefusals), try list(.files))
    }

    /// Written by hand because a synthesised encoder leaves nil out, and readers rely on every key.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Key.self)
        try container.encode(run, forKey: .run)
        try container.encode(plan, forKey: .plan)
        try container.encode(accuracyBefore.finite, forKey: .accuracyBefore)
        try container.encode(accuracyAfter.finite, forKey: .accuracyAfter)
        try container.encode(bytesBefore, forKey: .bytesBefore)
        try container.encode(bytesAfter, forKey: .bytesAfter)
        try container.encode(sparsity.finiteOrZero, forKey: .sparsity)
        try container.encode(wireBytesUp, forKey: .wireBytesUp)
        try container.encode(wireBytesDown, forKey: .wireBytesDown)
        try container.encode(wireBytesFloat32, forKey: .wireBytesFloat32)
        try container.encode(rounds, forKey: .rounds)
        try container.encode(seconds.finiteOrZero, forKey: .seconds)
        try container.encode(refused, forKey: .refused)
        try container.encode(stages, forKey: .stages)
        try container.encode(parametersBefore, forKey: .parametersBefore)
        try container.encode(parametersAfter, forKey: .parametersAfter)
        try container.encode(macsBefore, forKey: .macsBefore)
        try container.encode(macsAfter, forKey: .macsAfter)
        try container.encode(millisecondsBefore.finite, forKey: .millisecondsBefore)
        try container.encode(millisecondsAfter.finite, forKey: .millisecondsAfter)
        try container.encode(runtime, forKey: .runtime)
        try container.encode(runtimeVersion, forKey: .runtimeVersion)
        try container.encode(notMeasured, forKey: .notMeasured)
        try container.encode(roundDetails, forKey: .roundDetails)
        try container.encode(quantization, forKey: .quantization)
        try container.encode(layers, forKey: .layers)
        try container.encode(state, forKey: .state)
        try container.encode(stagesPlanned, forKey: .stagesPlanned)
        try container.encode(startedAt, forKey: .startedAt)
        try container.encode(endedAt, forKey: .endedAt)
        try container.encode(origin, forKey: .origin)
        try container.encode(tensors, forKey: .tensors)
        try container.encode(workers, forKey: .workers)
        try container.encode(workersTotal, forKey: .workersTotal)
        try container.encode(refusals, forKey: .refusals)
        try container.encode(newestRefusals, forKey: .newestRefusals)
        try container.encode(files, forKey: .files)
    }
}

extension Report.Stage {
    private enum Key: String, CodingKey {
        case kind, accuracyBefore, accuracyAfter, bytesBefore, bytesAfter, sparsity, wireBytesUp, wireBytesDown
        case wireBytesFloat32, rounds, seconds
        case parametersBefore, parametersAfter, macsBefore, macsAfter, millisecondsBefore, millisecondsAfter
        case state, loss, contributions, refusals, settings, facts
    }

    /// Every key is there, null when not measured.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Key.self)
        try container.encode(kind, forKey: .kind)
        try container.encode(accuracyBefore.finite, forKey: .accuracyBefore)
        try container.encode(accuracyAfter.finite, forKey: .accuracyAfter)
        try container.encode(bytesBefore, forKey: .bytesBefore)
        try container.encode(bytesAfter, forKey: .bytesAfter)
        try container.encode(sparsity.finiteOrZero, forKey: .sparsity)
        try container.encode(wireBytesUp, forKey: .wireBytesUp)
        try container.encode(wireBytesDown, forKey: .wireBytesDown)
        try container.encode(wireBytesFloat32, forKey: .wireBytesFloat32)
        try container.encode(rounds, forKey: .rounds)
        try container.encode(seconds.finiteOrZero, forKey: .seconds)
        try container.encode(parametersBefore, forKey: .parametersBefore)
        try container.encode(parametersAfter, forKey: .parametersAfter)
        try container.encode(macsBefore, forKey: .macsBefore)
        try container.encode(macsAfter, forKey: .macsAfter)
        try container.encode(millisecondsBefore.finite, forKey: .millisecondsBefore)
        try container.encode(millisecondsAfter.finite, forKey: .millisecondsAfter)
        try container.encode(state, forKey: .state)
        try container.encode(loss.finite, forKey: .loss)
        try container.encode(contributions, forKey: .contributions)
        try container.encode(refusals, forKey: .refusals)
        try container.encode(settings, forKey: .settings)
        try container.encode(facts, forKey: .facts)
    }
}

extension Report.Round {
    private enum Key: String, CodingKey {
        case round, stage, task, wireBytesUp, wireBytesDown, parameters, sparsity, density
        case wireBytesFloat32, seconds, loss, accuracy, contributions, refusals
    }

    /// Every key is there, null when not known.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Key.self)
        try container.encode(round, forKey: .round)
        try container.encode(stage, forKey: .stage)
        try container.encode(task, forKey: .task)
        try container.encode(wireBytesUp, forKey: .wireBytesUp)
        try container.encode(wireBytesDown, forKey: .wireBytesDown)
        try container.encode(parameters, forKey: .parameters)
        try container.encode(sparsity.finiteOrZero, forKey: .sparsity)
        try container.encode(density.finite, forKey: .density)
        try container.encode(wireBytesFloat32, forKey: .wireBytesFloat32)
        try container.encode(seconds.finite, forKey: .seconds)
        try container.encode(loss.finite, forKey: .loss)
        try container.encode(accuracy.finite, forKey: .accuracy)
        try container.encode(contributions, forKey: .contributions)
        try container.encode(refusals, forKey: .refusals)
    }
}

extension Double? {
    /// nil for what JSON cannot hold.
    var finite: Double? { flatMap { $0.isFinite ? $0 : nil } }
}

extension Double {
    var finiteOrZero: Double { isFinite ? self : 0 }
}
