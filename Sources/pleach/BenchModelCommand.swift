import ArgumentParser
import Engine
import Federation
import Foundation
import ModelGraph
import Monitor

struct BenchModelCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "model",
        abstract: "Milliseconds of ONNX files in ONNX Runtime and in our own engine, in turns.",
        discussion: """
            ONNX Runtime is run by a Python that has the package onnxruntime: the one that PLEACH_PYTHON names, else \
            python3, else what `make runtime` installs. Times are medians of single runs; the ratio is the first file's \
            time over a file's own. Example: pleach bench model dense.onnx compact.onnx --json
            """)

    @Argument(help: "ONNX files; the first is what the others are compared with.")
    var files: [String]

    @Option(help: "Samples per run.")
    var batch = 1

    @Option(help: "Threads.")
    var threads = 1

    @Option(help: "Seconds of timed runs for each file in each runtime.")
    var seconds = 2.0

    @Option(help: "The extent of a dynamic axis of an input, NAME=N; may be repeated.")
    var extent: [String] = []

    @Flag(help: "Print JSON.")
    var json = false

    /// One file in one runtime.
    struct Row: Encodable {
        var model: String
        var batch: Int
        var threads: Int
        var milliseconds: Double?
        var minimumMilliseconds: Double?
        /// The first file's milliseconds over this one's, in the same runtime.
        var ratio: Double?
        var runs = 0
        var runtime: String
        var runtimeVersion: String?
        /// Why there is no time.
        var reason: String?

        enum CodingKeys: CodingKey {
            case model, batch, threads, milliseconds, minimumMilliseconds, ratio, runs, runtime, runtimeVersion, reason
        }

        /// Every key is there, null when not known.
        func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: CodingKeys.self)
            try container.encode(model, forKey: .model)
            try container.encode(batch, forKey: .batch)
            try container.encode(threads, forKey: .threads)
            try container.encode(milliseconds, forKey: .milliseconds)
            try container.encode(minimumMilliseconds, forKey: .minimumMilliseconds)
            try container.encode(ratio, forKey: .ratio)
            try container.encode(runs, forKey: .runs)
            try container.encode(runtime, forKey: .runtime)
            try container.encode(runtimeVersion, forKey: .runtimeVersion)
            try container.encode(reason, forKey: .reason)
        }
    }

    func run() async throws {
        try await exitingOnError {
            guard (1...1 << 20).contains(batch), (1...1024).contains(threads) else {
                throw ValidationError("--batch is 1 to 1048576 and --threads 1 to 1024")
            }
            guard seconds > 0, seconds <= 3600 else { throw ValidationError("--seconds is above 0, at most 3600") }
            guard files.count <= 100 else { throw ValidationError("at most 100 files can be compared") }
            let extents = try Extents.parse(extent)
            // Before anything is timed: a file that cannot be read is an error, not a row.
            let graphs = try files.map { try Graph.load(path: $0) }
            let rows = Self.compared(inRuntime(extents)) + Self.compared(inEngine(graphs, extents))
            if json { return try printJSON(rows) }
            print(Self.text(rows))
        }
    }

    private func row(_ file: Int, runtime: String, version: String?) -> Row {
        Row(model: files[file], batch: batch, threads: threads, runtime: runtime, runtimeVersion: version)
    }

    private func inRuntime(_ extents: [String: Int]) -> [Row] {
        var options = RuntimeProbe.Options()
        options.batch = batch
        options.threads = threads
        options.extents = extents
        options.secondsEach = seconds
        // Loading takes time too, and one run may take longer than the seconds of all.
        options.limitSeconds = 60 + 3 * seconds * Double(files.count)
        // ONNX Runtime finds data files beside a model by its absolute path.
        let paths = files.map { URL(fileURLWithPath: $0).path }
        let measurement = RuntimeProbe().measure(paths, options: options)
        return measurement.models.enumerated().map { index, model in
            var row = row(index, runtime: "onnxruntime", version: measurement.runtimeVersion)
            row.milliseconds = model.milliseconds
            row.minimumMilliseconds = model.minimumMilliseconds
            row.runs = model.runs
            row.reason = model.reason
            return row
        }
    }

    private func inEngine(_ graphs: [Graph], _ extents: [String: Int]) -> [Row] {
        var options = InferenceBenchmark.Options()
        options.batch = batch
        options.threads = threads
        options.extents = extents
        options.secondsEach = seconds
        return InferenceBenchmark.run(graphs, options: options).enumerated().map { index, result in
            var row = row(index, runtime: "pleach", version: softwareVersion)
            switch result {
            case .success(let times):
                row.milliseconds = times.milliseconds
                row.minimumMilliseconds = times.minimumMilliseconds
                row.runs = times.runs
            case .failure(let error): row.reason = "\(error)"
            }
            return row
        }
    }

    /// With ratios to the first row.
    private static func compared(_ rows: [Row]) -> [Row] {
        rows.map { row in
            var row = row
            if let first = rows.first?.milliseconds, let own = row.milliseconds { row.ratio = first / own }
            return row
        }
    }

    private static func text(_ rows: [Row]) -> String {
        var lines: [String] = []
        for (index, row) in rows.enumerated() {
            if index == 0 || rows[index - 1].runtime != row.runtime {
                let version = row.runtimeVersion.map { " " + $0 } ?? ""
                lines.append("\(row.runtime)\(version), batch \(row.batch), \(row.threads) thread(s)")
                lines.append("   median ms   least ms    ratio  model")
            }
            let model = escapedForTerminal(row.model)
            guard let median = row.milliseconds, let least = row.minimumMilliseconds else {
                let reason = escapedForTerminal(row.reason ?? "")
                lines.append("           -          -        -  \(model): not measured: \(reason)")
                continue
            }
            let ratio = row.ratio.map { String(format: "%7.2fx", $0) } ?? "       -"
            lines.append(String(format: "%12.3f %10.3f ", median, least) + "\(ratio)  \(model)")
        }
        return lines.joined(separator: "\n")
    }
}
