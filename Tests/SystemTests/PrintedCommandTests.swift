import Foundation
import Testing

/// README and docs mark each of their blocks, so that `make docs` runs it or says why not. What runs them needs a release build;
/// that they are marked is checked here.
@Suite(.enabled(if: Python.isThere, "needs python3"))
struct PrintedCommandTests {
    private static func list(_ files: [String]) throws -> (status: Int32, lines: [String]) {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments =
            ["python3", "-B", PleachProcess.root.appendingPathComponent("Tests/docs/run_docs.py").path, "--list"]
            + files
        let pipe = Pipe()
        process.standardOutput = pipe
        process.standardError = pipe
        try process.run()
        let data = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return (process.terminationStatus, String(decoding: data, as: UTF8.self).components(separatedBy: "\n"))
    }

    @Test func everyBlockIsRunOrSaysWhyNot() throws {
        let (status, lines) = try Self.list([])
        #expect(status == 0, "\(lines.joined(separator: "\n"))")
        for file in [
            "README.md", "docs/metrics.md", "docs/exit-codes.md", "docs/laptop-to-fleet.md", "cluster/README.md",
        ] {
            #expect(lines.contains { $0.hasPrefix("run: \(file):") }, "\(file)")
        }
    }

    @Test func blocksAreFoundAsTheyAreMarked() throws {
        let (status, lines) = try Self.list(["Tests/docs/example.md"])
        #expect(status == 0)
        let found = lines.filter { $0.hasPrefix("run: ") || $0.hasPrefix("not run: ") }.map {
            $0.replacing("Tests/docs/example.md:", with: "")
        }
        #expect(
            found == [
                "run: 6: cd /tmp && export COLOUR=green", "run: 9: test \"$PWD $COLOUR\" = \"/tmp green\"",
                "run: 12: $ printf 'one\\ntwo 2\\nthree\\n' | \\", "run: 25: echo \"within a list\"",
                "not run: 22: there is no moon",
            ])
    }

    @Test(arguments: [
        ("```\nls\n```\n", 1), ("text\n```sh\nls\n", 2), ("```sh sometimes\nls\n```\n", 1), ("```perl\nx\n```\n", 1),
        ("<!-- not run: why -->\n```yaml\na: 1\n```\n", 2),
    ]) func whatIsNotMarkedIsNamedWithItsPlace(text: String, line: Int) throws {
        let folder = try ScratchFolder()
        let path = try folder.file("page.md", text)
        let (status, lines) = try Self.list([path])
        #expect(status == 1)
        #expect(lines.contains { $0.hasPrefix("FAILED ") && $0.contains("page.md:\(line): ") }, "\(lines)")
    }
}

private enum Python {
    static let isThere: Bool = {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["python3", "--version"]
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        do { try process.run() } catch { return false }
        process.waitUntilExit()
        return process.terminationStatus == 0
    }()
}
