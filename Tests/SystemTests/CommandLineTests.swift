import EventSchema
import Foundation
import Testing

/// What a shell and its user see of the command line: help, completions, the manual, exit codes.
@Suite(.serialized)
struct CommandLineTests {
    /// Every command that help shows, with its path and what help says of it.
    private static func commands() async throws -> [(path: [String], help: JSONValue)] {
        let (status, text) = try await PleachProcess.run(["--experimental-dump-help"])
        #expect(status == 0)
        var found: [(path: [String], help: JSONValue)] = []
        func walk(_ command: JSONValue, _ path: [String]) {
            guard command["shouldDisplay"] != .bool(false), let name = command["commandName"]?.string, name != "help"
            else { return }
            found.append((path + [name], command))
            for child in command["subcommands"]?.array ?? [] { walk(child, path + [name]) }
        }
        walk(try #require(try JSONValue(parsing: text)["command"]), [])
        return found
    }

    @Test func everyCommandHasAnExampleOfItself() async throws {
        let commands = try await Self.commands()
        #expect(commands.count > 30)
        for (path, help) in commands {
            let command = path.joined(separator: " ")
            let discussion = help["discussion"]?.string ?? ""
            #expect(discussion.contains("Example"), "\(command)")
            #expect(discussion.contains(command), "\(command): its example shows another command")
            #expect(help["abstract"]?.string?.hasSuffix(".") == true, "\(command)")
            for argument in help["arguments"]?.array ?? [] where argument["shouldDisplay"] != .bool(false) {
                #expect(argument["abstract"]?.string?.isEmpty == false, "\(command): \(argument)")
            }
        }
    }

    /// One real `--help` a level.
    @Test(arguments: [["--help"], ["logs", "--help"], ["model", "prune", "--help"]])
    func helpPrintsItsExamples(arguments: [String]) async throws {
        let (status, text) = try await PleachProcess.run(arguments)
        #expect(status == 0)
        #expect(text.contains("Example"))
    }

    @Test(arguments: [("bash", ["-n"]), ("zsh", ["-n"]), ("fish", ["--no-execute"])])
    func completionsAreMadeForEachShell(shell: String, check: [String]) async throws {
        let (status, text) = try await PleachProcess.run(["completions", shell])
        #expect(status == 0, "\(text)")
        for word in ["coordinator", "factorize", "summary", "log-level"] { #expect(text.contains(word), "\(word)") }
        // Those shells that are installed read it.
        let folder = try ScratchFolder()
        let script = try folder.file("pleach.\(shell)", text)
        guard let read = try Self.run(shell, check + [script]) else { return }
        #expect(read.status == 0, "\(read.output)")
    }

    @Test func anUnknownShellIsNamed() async throws {
        let (status, text) = try await PleachProcess.run(["completions", "csh"])
        #expect(status == 64)
        #expect(text.contains("'csh'") && text.contains("bash, fish, zsh"), "\(text)")
    }

    @Test func theManualHasEveryCommandAndOption() async throws {
        let (status, text) = try await PleachProcess.run(["manual"])
        #expect(status == 0, "\(text)")
        for (path, help) in try await Self.commands() {
            if path.count > 1 {
                #expect(text.contains(".SS " + path.joined(separator: " ").replacing("-", with: "\\-")))
            }
            for argument in help["arguments"]?.array ?? [] where argument["shouldDisplay"] != .bool(false) {
                let name = argument["names"]?.array?.first?["name"]?.string ?? ""
                guard !name.isEmpty, name != "help", name != "version" else { continue }
                #expect(text.contains(name.replacing("-", with: "\\-")), "\(path): \(name)")
            }
        }
        let folder = try ScratchFolder()
        let page = try folder.file("pleach.1", text)
        guard let read = try Self.run("groff", ["-man", "-ww", "-z", "-Tutf8", page]) else { return }
        #expect(read.status == 0)
        #expect(read.output.isEmpty, "\(read.output)")
    }

    @Test func theExitCodesAreThoseOfThePage() throws {
        let page = try String(
            contentsOf: PleachProcess.root.appendingPathComponent("docs/exit-codes.md"), encoding: .utf8)
        let source = try String(
            contentsOf: PleachProcess.root.appendingPathComponent("Sources/pleach/ExitCodes.swift"), encoding: .utf8)
        let documented = page.matches(of: /^\| (\d+) \| ([^|]*) \|/.anchorsMatchLineEndings()).map {
            (code: String($0.output.1), meaning: String($0.output.2))
        }
        let codes = source.matches(of: /case \w+ = (\d+)/).map { String($0.output.1) }
        // The library's own for wrong usage is no case of ours.
        #expect(codes.count > 10)
        #expect(documented.map(\.code) == codes + ["64"])
        for (code, meaning) in documented { #expect(meaning.count > 3, "\(code)") }
    }

    /// nil where there is no such program.
    private static func run(_ program: String, _ arguments: [String]) throws -> (status: Int32, output: String)? {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = [program] + arguments
        let pipe = Pipe()
        process.standardOutput = pipe
        process.standardError = pipe
        try process.run()
        let output = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        return process.terminationStatus == 127 ? nil : (process.terminationStatus, output)
    }
}
