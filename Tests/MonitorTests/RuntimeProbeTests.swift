import Foundation
import Testing

@testable import Monitor

/// A shell script in the place of Python.
private final class FakePython {
    let folder = LogFolder()
    let path: String
    var candidate: PythonCandidate { PythonCandidate(path: path) }

    init(_ body: String) throws {
        path = folder.state + "/python"
        try "#!/bin/sh\n\(body)\n".write(toFile: path, atomically: true, encoding: .utf8)
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: path)
    }

    /// The reason why nothing is measured, or nil.
    func reason(limit: Double = 20) -> String? { measure(limit: limit).reason }

    func measure(_ files: [String] = ["a.onnx"], limit: Double = 20) -> RuntimeMeasurement {
        var options = RuntimeProbe.Options()
        options.limitSeconds = limit
        var measurement = RuntimeProbe(candidates: [candidate]).measure(files, options: options)
        // While another test starts a child, that child holds our script open for writing for a moment.
        for _ in 0..<200 where measurement.reason?.hasSuffix("Text file busy") == true {
            usleep(20_000)
            measurement = RuntimeProbe(candidates: [candidate]).measure(files, options: options)
        }
        return measurement
    }
}

private let oneModel = #"{"version": "1.2.3", "models": [{"milliseconds": 2.5, "minimumMilliseconds": 2, "runs": 9}]}"#

@Suite struct RuntimeProbeTests {
    @Test func anAnswerIsTakenOver() throws {
        let fake = try FakePython("echo '\(oneModel)'")
        let measurement = fake.measure()
        #expect(measurement.runtime == "onnxruntime")
        #expect(measurement.runtimeVersion == "1.2.3")
        #expect(measurement.models == [.init(milliseconds: 2.5, minimumMilliseconds: 2, runs: 9)])
        #expect(measurement.reason == nil)
        #expect(measurement.allMilliseconds == [2.5])
    }

    /// `python -c SCRIPT REQUEST`, standard input open, nothing else of ours.
    @Test func theChildGetsItsRequestAndNothingElse() throws {
        let inherited = try #require(openFile())
        defer { close(inherited) }
        let fake = try FakePython(
            """
            printf '%s' "$1" > "$0.flag"; printf '%s' "$2" > "$0.script"; printf '%s' "$3" > "$0.request"
            [ -e /proc/$$/fd/\(inherited) ] && echo leaked > "$0.leak"
            echo '\(oneModel)'
            """)
        var options = RuntimeProbe.Options()
        options.batch = 3
        options.threads = 2
        options.extents = ["length": 7]
        let hostile = "a b'; touch x \"$(id)\".onnx"
        #expect(RuntimeProbe(candidates: [fake.candidate]).measure([hostile], options: options).reason == nil)
        #expect(try String(contentsOfFile: fake.path + ".flag", encoding: .utf8) == "-c")
        #expect(try String(contentsOfFile: fake.path + ".script", encoding: .utf8) == RuntimeScript.text)
        let data = try Data(contentsOf: URL(fileURLWithPath: fake.path + ".request"))
        let request = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
        #expect(request["models"] as? [String] == [hostile])
        #expect(request["batch"] as? Int == 3)
        #expect(request["threads"] as? Int == 2)
        #expect(request["extents"] as? [String: Int] == ["length": 7])
        #expect(!FileManager.default.fileExists(atPath: fake.path + ".leak"))
    }

    /// An open file that children would inherit. Its number is above those a shell opens for itself, and free: a fixed
    /// one would be taken from whatever test has it at the time.
    private func openFile() -> Int32? {
        let file = open("/dev/null", O_RDONLY)
        guard file >= 0 else { return nil }
        defer { close(file) }
        let inherited = fcntl(file, F_DUPFD, 57)
        return inherited >= 57 ? inherited : nil
    }

    @Test func oneModelMayFailAlone() throws {
        let fake = try FakePython(
            #"""
            echo '{"version": "1", "models": [{"error": "bad\u001b[2J"}, {"milliseconds": 1, "minimumMilliseconds": 1, "runs": 1}]}'
            """#)
        let measurement = fake.measure(["a", "b"])
        #expect(measurement.models[0] == .init(reason: "bad\\u{1B}[2J"))
        #expect(measurement.models[1].milliseconds == 1)
        #expect(measurement.allMilliseconds == nil)
        #expect(measurement.reason == nil)
    }

    @Test(arguments: [
        "echo garbage", "echo '{}'", "echo '[1]'", "true", "printf '\\377\\376'", "echo '{\"models\": []}'",
        "echo '{\"version\": \"1\", \"models\": []}'", "printf '[%.0s' $(seq 5000)",
        "echo '\(oneModel)'; echo more",
    ])
    func nonsenseIsNoMeasurement(_ body: String) throws {
        let fake = try FakePython(body)
        let reason = try #require(fake.reason())
        #expect(reason.hasSuffix("/python did not answer with a measurement"))
        #expect(fake.measure(["a", "b"]).models == Array(repeating: .init(reason: reason), count: 2))
    }

    @Test(arguments: [
        #"{"milliseconds": 0, "minimumMilliseconds": 0, "runs": 1}"#,
        #"{"milliseconds": -1, "minimumMilliseconds": -1, "runs": 1}"#,
        #"{"milliseconds": 1, "minimumMilliseconds": 2, "runs": 1}"#,
        #"{"milliseconds": 1e12, "minimumMilliseconds": 1, "runs": 1}"#,
        #"{"milliseconds": 1, "minimumMilliseconds": 1, "runs": 0}"#, #"{"milliseconds": 1}"#, "{}",
    ])
    func impossibleTimesAreNone(_ model: String) throws {
        let fake = try FakePython("echo '{\"version\": \"1\", \"models\": [\(model)]}'")
        #expect(fake.measure().models == [.init(reason: "the answer holds no time")])
    }

    @Test func whatFailsSaysHow() throws {
        #expect(try FakePython("echo '\(oneModel)'; exit 3").reason()?.hasSuffix("ended with status 3") == true)
        #expect(try FakePython("kill -11 $$").reason()?.hasSuffix("was killed by signal 11") == true)
        let tooMuch = try FakePython("head -c 3000000 /dev/zero; echo '\(oneModel)'")
        #expect(tooMuch.reason()?.hasSuffix("wrote more than a measurement can be") == true)
        let endless = try FakePython("exec cat /dev/zero")
        #expect(endless.reason()?.hasSuffix("wrote more than a measurement can be") == true)
        let probe = RuntimeProbe(candidates: [PythonCandidate(path: "/nowhere/python")])
        #expect(probe.measure(["a"]).reason == "/nowhere/python cannot be started: No such file or directory")
    }

    /// Whatever hangs is killed with everything it started, whether or not it has closed its output.
    @Test(arguments: [
        "sleep 600 &\necho $! > \"$0.pid\"\nwait", "sleep 600 >/dev/null &\necho $! > \"$0.pid\"\nexec >&-\nwait",
    ])
    func whatHangsIsKilled(_ body: String) async throws {
        let fake = try FakePython(body)
        #expect(fake.reason(limit: 2)?.hasSuffix("took too long and was stopped") == true)
        let text = try String(contentsOfFile: fake.path + ".pid", encoding: .utf8)
        let grandchild = try #require(pid_t(text.trimmingCharacters(in: .whitespacesAndNewlines)))
        // It may be a zombie until init reaps it.
        for _ in 0..<500 where isAlive(grandchild) { try await Task.sleep(for: .milliseconds(20)) }
        #expect(!isAlive(grandchild))
    }

    @Test func aMeasurementThatIsNoLongerWantedEnds() throws {
        let fake = try FakePython("echo started > \"$0.started\"; exec sleep 600")
        let started = fake.path + ".started"
        var probe = RuntimeProbe(candidates: [fake.candidate, fake.candidate])
        probe.isCancelled = { FileManager.default.fileExists(atPath: started) }
        #expect(probe.measure(["a"]).reason?.hasSuffix("python was stopped") == true)
    }

    private func isAlive(_ process: pid_t) -> Bool {
        guard let status = try? String(contentsOfFile: "/proc/\(process)/status", encoding: .utf8) else { return false }
        return !status.contains("State:\tZ")
    }

    @Test func theNextPythonIsTriedWhereOneHasNoRuntime() throws {
        let without = try FakePython("echo '{\"missing\": \"No module named onnxruntime\"}'")
        let broken = try FakePython("exit 1")
        let with = try FakePython("echo '\(oneModel)'")
        #expect(without.reason() == "no Python with onnxruntime found; set PLEACH_PYTHON")
        #expect(RuntimeProbe(candidates: []).measure(["a"]).reason == RuntimeProbe.noPython)
        let all = RuntimeProbe(candidates: [without.candidate, broken.candidate, with.candidate])
        #expect(all.measure(["a"]).allMilliseconds == [2.5])
        let named = RuntimeProbe(candidates: [PythonCandidate(path: without.path, isNamedByUser: true)])
        #expect(named.measure(["a"]).reason == "PLEACH_PYTHON has no onnxruntime")
    }

    @Test func tooManyFilesAreNotTried() throws {
        let fake = try FakePython("echo '\(oneModel)'")
        #expect(fake.measure(Array(repeating: "a", count: 257)).reason?.contains("too many") == true)
        #expect(fake.measure([String(repeating: "a", count: 100_001)]).reason?.contains("too long") == true)
        #expect(fake.measure([]).models.isEmpty)
    }

    @Test func pythonsAreFoundInOrder() throws {
        let folder = LogFolder()
        func program(_ path: String) throws -> String {
            let full = folder.state + "/" + path
            let parent = URL(fileURLWithPath: full).deletingLastPathComponent()
            try FileManager.default.createDirectory(at: parent, withIntermediateDirectories: true)
            try Data().write(to: URL(fileURLWithPath: full))
            try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: full)
            return full
        }
        func paths(_ environment: [String: String], executable: String = "") -> [String] {
            PythonCandidate.all(environment: environment, executable: executable, directory: folder.state).map(\.path)
        }
        let path = "relative:\(folder.state)/none:\(folder.state)/bin"
        #expect(paths(["PATH": path]) == [])
        let python = try program("bin/python3")
        #expect(paths(["PATH": path]) == [python])
        let local = try program(".build/runtime/venv/bin/python")
        #expect(paths(["PATH": path]) == [python, local])
        let other = try program("other/.build/runtime/venv/bin/python")
        let executable = folder.state + "/other/.build/x86/release/pleach"
        #expect(paths([:], executable: executable) == [other, local])
        #expect(paths(["PATH": path, "PLEACH_PYTHON": "/my/python"]) == ["/my/python"])
        #expect(paths(["PATH": path, "PLEACH_PYTHON": "python3"]) == [python])
        #expect(paths(["PATH": path, "PLEACH_PYTHON": ""]) == [python, local])
    }
}
