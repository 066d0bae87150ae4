import Federation
import Foundation
import Logging

/// Takes what libraries log through swift-log into a run's own log, as `diagnostic` events.
///
/// Start with `LoggingSystem.bootstrap { DiagnosticLogHandler(label: $0, writer: writer) }`, once a process.
public struct DiagnosticLogHandler: LogHandler {
    public var metadata: Logger.Metadata = [:]
    public var logLevel: Logger.Level

    private let label: String
    private let writer: EventWriter

    public init(label: String, writer: EventWriter, logLevel: Logger.Level = .info) {
        self.label = label
        self.writer = writer
        self.logLevel = logLevel
    }

    public subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    public func log(event: Logging.LogEvent) {
        var all = metadata
        if let provided = metadataProvider?.get() { all.merge(provided) { _, new in new } }
        if let own = event.metadata { all.merge(own) { _, new in new } }
        var diagnostic = Federation.LogEvent(
            EventName.diagnostic, level: Self.level(event.level),
            ["label": .string(label), "message": .string("\(event.message)"), "source": .string(event.source)])
        if let error = event.error { diagnostic.fields.append(("error", .string("\(error)"))) }
        if !all.isEmpty {
            let pairs = all.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
            diagnostic.fields.append(("metadata", .strings(pairs)))
        }
        writer.write(diagnostic)
    }

    public var metadataProvider: Logger.MetadataProvider?

    private static func level(_ level: Logger.Level) -> LogLevel {
        switch level {
        case .trace, .debug: .debug
        case .info, .notice: .info
        case .warning: .warning
        case .error, .critical: .error
        }
    }
}
