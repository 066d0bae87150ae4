import Foundation
import Testing

/// `pleach bench model` with a shell script for Python: what it says about files, not how fast they are.
@Suite struct BenchModelTests {
    private let folder: ScratchFolder
    private let model: String

    init() async throws {
        folder = try ScratchFolder()
        model = folder.path + "/mlp.onnx"
        let made = try await PleachProcess.run(["model", "new", "mlp", "--out", model])
        #expect(made.status == 0, "\(made.text)")
    }

    private func python(_ script: String) throws -> String {
        let path = try folder.file("python", "#!/bin/sh\n\(script)\n")
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: path)
        return path
    }

    private func bench(_ arguments: [String], python: String) async throws -> (status: Int32, text: String) {
        let process = try PleachProcess(
            ["bench", "model"] + arguments + ["--seconds", "0.05"], environment: ["PLEACH_PYTHON": python])
        return (try await process.wait(), process.text)
    }

    @Test func filesAreComparedInBothRuntimes() async throws {
        let times = [4, 1].map { #"{"milliseconds": \#($0), "minimumMilliseconds": 1, "runs": 5}"# }
        let python = try python("echo '{\"version\": \"9\", \"models\": [\(times.joined(separator: ","))]}'")
        let (status, text) = try await bench([model, model, "--json"], python: python)
        #expect(status == 0, "\(text)")
        let rows = try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [[String: Any]])
        #expect(rows.map { $0["runtime"] as? String } == ["onnxruntime", "onnxruntime", "pleach", "pleach"])
        for row in rows {
            #expect(
                row.keys.sorted() == [
                    "batch", "milliseconds", "minimumMilliseconds", "model", "ratio", "reason", "runs", "runtime",
                    "runtimeVersion", "threads",
                ])
            #expect(row["model"] as? String == model)
            #expect(row["batch"] as? Int == 1)
            #expect(row["threads"] as? Int == 1)
        }
        #expect(rows.prefix(2).map { $0["ratio"] as? Double } == [1, 4])
        #expect(rows[1]["milliseconds"] as? Double == 1)
        #expect(rows[0]["runtimeVersion"] as? String == "9")
        #expect(try #require(rows[3]["milliseconds"] as? Double) > 0)
    }

    @Test func withoutARuntimeOurEngineIsMeasuredAlone() async throws {
        let python = try python("echo '{\"missing\": \"onnxruntime\"}'")
        let (status, text) = try await bench([model], python: python)
        #expect(status == 0, "\(text)")
        #expect(text.contains("mlp.onnx: not measured: PLEACH_PYTHON has no onnxruntime"))
        #expect(text.contains("pleach 0."))
    }

    @Test func mistakesAreRefused() async throws {
        let missing = try await bench([folder.path + "/none.onnx"], python: "/nowhere")
        #expect(missing.status == 3, "\(missing.text)")
        #expect(try await bench([model, "--batch", "0"], python: "/nowhere").status == 64)
        #expect(try await bench([model, "--extent", "x"], python: "/nowhere").status == 64)
        #expect(try await bench([], python: "/nowhere").status == 64)
    }

    /// With a real ONNX Runtime, where there is one.
    @Test(.enabled(if: ProcessInfo.processInfo.environment["PLEACH_PYTHON"] != nil))
    func onnxRuntimeAnswers() async throws {
        let tokens = folder.path + "/transformer.onnx"
        let made = try await PleachProcess.run(["model", "new", "transformer", "--out", tokens])
        #expect(made.status == 0, "\(made.text)")
        let python = try #require(ProcessInfo.processInfo.environment["PLEACH_PYTHON"])
        let (status, text) = try await bench([model, tokens, "--batch", "3", "--json"], python: python)
        #expect(status == 0, "\(text)")
        let rows = try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [[String: Any]])
        #expect(rows.count == 4)
        for row in rows { #expect(row["milliseconds"] as? Double ?? 0 > 0, "\(row)") }
    }
}
