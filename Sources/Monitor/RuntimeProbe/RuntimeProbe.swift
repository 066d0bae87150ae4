import Foundation

// How fast ONNX files run in ONNX Runtime, measured by a child process: a Python that has `onnxruntime`. Invariants: no
// shell; nothing that the child prints or does can hurt, block or outlive us; whatever goes wrong is a reason in the
// result, never an error. Left out: measuring by our own engine (`Engine.InferenceBenchmark`).

/// Measures ONNX files in ONNX Runtime, several in turns, so that what else the machine does falls on all of them.
public struct RuntimeProbe: Sendable {
    public struct Options: Sendable, Equatable {
        /// Threads within an operator; operators run one after another, and waiting threads sleep.
        public var threads = 1
        /// The extent of every input's first axis, where the file leaves it open.
        public var batch = 1
        /// Extents of other open axes by name (`INPUT.AXIS` for one without a name).
        public var extents: [String: Int] = [:]
        /// Timed runs that suffice for a file ...
        public var runs = 2000
        /// ... or seconds of them, whichever comes first.
        public var secondsEach = 1.0
        /// Seconds after which the child is killed, whatever it does. It aims to be done a tenth earlier.
        public var limitSeconds = 20.0

        public init() {}
    }

    /// The pythons to try, best first.
    public var candidates: [PythonCandidate]
    /// Whether a measurement is no longer wanted; asked several times a second.
    public var isCancelled: @Sendable () -> Bool = { false }

    public init(candidates: [PythonCandidate]) { self.candidates = candidates }

    /// With the pythons that this process's environment offers.
    public init() { self.init(candidates: PythonCandidate.all(environment: ProcessInfo.processInfo.environment)) }

    /// Why nothing is measured where no Python fits.
    public static let noPython = "no Python with onnxruntime found; set PLEACH_PYTHON"
    /// Most files of one measurement, and most bytes of the request: it travels as one argument of a process.
    static let fileLimit = 256
    static let requestByteLimit = 100_000
    /// Most bytes of an answer.
    static let answerByteLimit = 1 << 20

    /// Blocks for up to `options.limitSeconds`; one result a file, in the order given.
    public func measure(_ paths: [String], options: Options = Options()) -> RuntimeMeasurement {
        let count = paths.count
        guard count > 0 else { return RuntimeMeasurement(reason: "there is no file to measure", count: 0) }
        guard count <= Self.fileLimit, let request = request(paths, options) else {
            return RuntimeMeasurement(reason: "there are too many files, or their names are too long", count: count)
        }
        let deadline = ContinuousClock.now + .seconds(options.limitSeconds)
        var reason = Self.noPython
        for candidate in candidates {
            do throws(BoundedChild.Failure) {
                let output = try BoundedChild.output(
                    of: candidate.path, arguments: ["-c", RuntimeScript.text, request],
                    environment: Self.childEnvironment, byteLimit: Self.answerByteLimit, deadline: deadline,
                    isCancelled: isCancelled)
                switch RuntimeMeasurement.parse(output, count: count) {
                case .measured(let measurement): return measurement
                case .noRuntime: if candidate.isNamedByUser { reason = "PLEACH_PYTHON has no onnxruntime" }
                case .nonsense: reason = "\(candidate.name) did not answer with a measurement"
                }
            } catch {
                reason = "\(candidate.name) \(error)"
                // The others would have no time either.
                if error == .tooLate || error == .cancelled { break }
            }
        }
        return RuntimeMeasurement(reason: reason, count: count)
    }

    private struct Request: Encodable {
        var models: [String]
        var threads: Int
        var batch: Int
        var extents: [String: Int]
        var runs: Int
        var secondsEach: Double
        var limitSeconds: Double
    }

    private func request(_ paths: [String], _ options: Options) -> String? {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        let request = Request(
            models: paths, threads: options.threads, batch: options.batch, extents: options.extents, runs: options.runs,
            secondsEach: options.secondsEach, limitSeconds: options.limitSeconds * 0.9)
        guard let data = try? encoder.encode(request), data.count <= Self.requestByteLimit else { return nil }
        return String(decoding: data, as: UTF8.self)
    }

    /// Ours, but numeric libraries behind Python start no threads of their own.
    private static var childEnvironment: [String: String] {
        ProcessInfo.processInfo.environment.merging(
            ["OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONIOENCODING": "utf-8"]
        ) { $1 }
    }
}
