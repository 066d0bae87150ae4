import Foundation

extension Report {
    /// Reads `out/report.json`.
    public init(contentsOf path: String) throws(MonitorError) {
        guard let data = FileManager.default.contents(atPath: path) else {
            throw .file(path: path, operation: "read", errno: ENOENT)
        }
        do {
            self = try JSONDecoder().decode(Report.self, from: data)
        } catch {
            throw .file(path: path, operation: "understand the report in", errno: EINVAL)
        }
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
}

extension Report {
    private enum Key: String, CodingKey {
        case run, plan, accuracyBefore, accuracyAfter, bytesBefore, bytesAfter, sparsity, wireBytesUp, wireBytesDown
        case wireBytesFloat32, rounds, seconds, refused, stages
        case parametersBefore, parametersAfter, macsBefore, macsAfter, millisecondsBefore, millisecondsAfter
        case runtime, runtimeVersion, notMeasured, roundDetails, quantization, layers
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
    }
}

extension Report.Stage {
    private enum Key: String, CodingKey {
        case kind, accuracyBefore, accuracyAfter, bytesBefore, bytesAfter, sparsity, wireBytesUp, wireBytesDown
        case wireBytesFloat32, rounds, seconds
        case parametersBefore, parametersAfter, macsBefore, macsAfter, millisecondsBefore, millisecondsAfter
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
    }
}

extension Report.Round {
    private enum Key: String, CodingKey {
        case round, stage, task, wireBytesUp, wireBytesDown, parameters, sparsity, density
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
    }
}

extension Double? {
    /// nil for what JSON cannot hold.
    var finite: Double? { flatMap { $0.isFinite ? $0 : nil } }
}

extension Double {
    var finiteOrZero: Double { isFinite ? self : 0 }
}
