import Foundation

/// What ONNX Runtime took for each of some files, or why it is not known.
public struct RuntimeMeasurement: Sendable, Equatable {
    public struct Model: Sendable, Equatable {
        /// Median and least of the timed runs; nil when not measured.
        public var milliseconds: Double?
        public var minimumMilliseconds: Double?
        public var runs = 0
        /// Why it was not measured, safe to print.
        public var reason: String?
    }

    /// `onnxruntime`, and its version; nil when nothing ran.
    public var runtime: String?
    public var runtimeVersion: String?
    /// One for each file, in the order asked.
    public var models: [Model]
    /// Why nothing was measured at all, safe to print; nil when something was tried.
    public var reason: String?

    init(runtime: String?, runtimeVersion: String?, models: [Model]) {
        self.runtime = runtime
        self.runtimeVersion = runtimeVersion
        self.models = models
    }

    /// Nothing was measured.
    public init(reason: String, count: Int) {
        self.reason = reason
        models = Array(repeating: Model(reason: reason), count: count)
    }

    /// The medians, if every file was measured.
    public var allMilliseconds: [Double]? {
        let found = models.compactMap(\.milliseconds)
        return found.count == models.count ? found : nil
    }
}

extension RuntimeMeasurement {
    /// What an answer of the child is.
    enum Answer: Equatable {
        case measured(RuntimeMeasurement)
        /// Python works but cannot import the runtime.
        case noRuntime
        case nonsense
    }

    private struct Message: Decodable {
        struct Model: Decodable {
            var milliseconds: Double?
            var minimumMilliseconds: Double?
            var runs: Int?
            var error: String?
        }

        var missing: String?
        var version: String?
        var models: [Model]?
    }

    /// Reads an answer; trusts none of it.
    static func parse(_ bytes: [UInt8], count: Int) -> Answer {
        guard let message = try? JSONDecoder().decode(Message.self, from: Data(bytes)) else { return .nonsense }
        if message.missing != nil { return .noRuntime }
        guard let models = message.models, models.count == count, let version = message.version else {
            return .nonsense
        }
        return .measured(
            RuntimeMeasurement(
                runtime: "onnxruntime", runtimeVersion: escapedForTerminal(version, limit: 40),
                models: models.map { model in
                    guard let median = model.milliseconds, let least = model.minimumMilliseconds,
                        let runs = model.runs, (1...1_000_000_000).contains(runs), isTime(median), isTime(least),
                        least <= median
                    else {
                        let error = model.error ?? "the answer holds no time"
                        return Model(reason: escapedForTerminal(error, limit: 300))
                    }
                    return Model(milliseconds: median, minimumMilliseconds: least, runs: runs)
                }))
    }

    private static func isTime(_ milliseconds: Double) -> Bool { milliseconds > 0 && milliseconds < 1e9 }
}
