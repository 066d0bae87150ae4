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

    /// The closing table: accuracy, file and wire bytes before and after, rounds, time.
    public func table() -> String {
        let wire = wireBytesUp + wireBytesDown
        return ClosingTable(rows: [
            ("accuracy", accuracyBefore.map(Figures.percent) ?? "-", accuracyAfter.map(Figures.percent) ?? "-"),
            ("model file", Figures.bytes(bytesBefore), Figures.bytes(bytesAfter)),
            ("  after / before", "", Self.share(bytesAfter, of: bytesBefore)),
            ("masked weights", "", Figures.percent(sparsity)),
            ("wire (before: float32 averaging)", Figures.bytes(wireBytesFloat32), Figures.bytes(wire)),
            ("  fewer bytes", "", wire > 0 ? Figures.factor(Double(wireBytesFloat32) / Double(wire)) : "-"),
            ("rounds", "", Figures.count(rounds)),
            ("time", "", Figures.seconds(seconds)),
        ]).text()
    }

    private static func share(_ part: Int, of whole: Int) -> String {
        whole > 0 ? String(format: "%.3f", Double(part) / Double(whole)) : "-"
    }
}

extension Report {
    private enum Key: String, CodingKey {
        case run, plan, accuracyBefore, accuracyAfter, bytesBefore, bytesAfter, sparsity, wireBytesUp, wireBytesDown
        case wireBytesFloat32, rounds, seconds, refused, stages
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
    }
}

extension Report.Stage {
    private enum Key: String, CodingKey {
        case kind, accuracyBefore, accuracyAfter, bytesBefore, bytesAfter, sparsity, wireBytesUp, wireBytesDown
        case wireBytesFloat32, rounds, seconds
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
    }
}

extension Double? {
    /// nil for what JSON cannot hold.
    var finite: Double? { flatMap { $0.isFinite ? $0 : nil } }
}

extension Double {
    var finiteOrZero: Double { isFinite ? self : 0 }
}
