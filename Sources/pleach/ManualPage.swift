import Foundation

/// A page for man(1) of all commands and options, in the man(7) macros.
///
/// Made from the JSON that ArgumentParser's `--experimental-dump-help` prints, so it cannot differ from `--help`; the
/// library's own generator is a plugin that builds a tool of its own and makes no examples' lines.
struct ManualPage {
    /// The parts of ArgumentParser's ToolInfo (version 0) that the page needs.
    struct Command: Decodable {
        var commandName: String
        var abstract: String?
        var discussion: String?
        var shouldDisplay: Bool?
        var subcommands: [Command]?
        var arguments: [Argument]?
    }

    struct Argument: Decodable {
        struct Name: Decodable {
            var kind: String
            var name: String
        }

        var kind: String
        var shouldDisplay: Bool
        var isOptional: Bool
        var isRepeating: Bool
        var names: [Name]?
        var valueName: String?
        var defaultValue: String?
        var allValues: [String]?
        var abstract: String?
    }

    private struct Tool: Decodable {
        var command: Command
    }

    private let root: Command
    private let version: String

    init(helpJSON: String, version: String) throws {
        root = try JSONDecoder().decode(Tool.self, from: Data(helpJSON.utf8)).command
        self.version = version
    }

    func text() -> String {
        var lines = [".TH PLEACH 1 \"\" \"pleach \(Self.escaped(version))\" \"User Commands\"", ".SH NAME"]
        lines.append("pleach \\- \(Self.escaped(root.abstract ?? ""))")
        lines.append(".SH SYNOPSIS")
        lines += [".B pleach", ".I command", "[\\fIoptions\\fR]", ".SH DESCRIPTION"]
        lines += Self.paragraphs(root.discussion ?? "")
        lines.append(".SH COMMANDS")
        for command in root.subcommands ?? [] { lines += Self.section(command, path: ["pleach"]) }
        lines += [".SH EXIT STATUS", "One meaning each, 0 is success; docs/exit\\-codes.md explains them."]
        for status in PleachExit.allCases {
            lines += [".TP", ".B \(status.rawValue)", Self.escaped(status.meaning)]
        }
        lines += [".TP", ".B 64", "wrong usage of the command line"]
        return lines.joined(separator: "\n") + "\n"
    }

    private static func section(_ command: Command, path: [String]) -> [String] {
        guard command.shouldDisplay ?? true, command.commandName != "help" else { return [] }
        let path = path + [command.commandName]
        let arguments = (command.arguments ?? []).filter { $0.shouldDisplay && !$0.isBuiltIn }
        var lines = [".SS " + escaped(path.joined(separator: " ") + arguments.map { " " + $0.usage }.joined())]
        lines.append(escaped(command.abstract ?? ""))
        for argument in arguments {
            lines += [".TP", ".B \(escaped(argument.title))", escaped(argument.explanation)]
        }
        lines += paragraphs(command.discussion ?? "").isEmpty ? [] : [".PP"] + paragraphs(command.discussion ?? "")
        return lines + (command.subcommands ?? []).flatMap { section($0, path: path) }
    }

    /// Text as it is; lines that begin with spaces stay lines of their own.
    private static func paragraphs(_ text: String) -> [String] {
        var lines: [String] = []
        var isExample = false
        for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
            let isIndented = line.hasPrefix("  ")
            if isIndented != isExample { lines.append(isIndented ? ".nf" : ".fi") }
            isExample = isIndented
            lines.append(line.isEmpty ? ".PP" : escaped(String(line)))
        }
        if isExample { lines.append(".fi") }
        return lines == [""] || lines == [".PP"] ? [] : lines
    }

    /// What roff would read as its own: backslashes, hyphens that are minus signs, and dots and quotes that begin a line.
    static func escaped(_ text: String) -> String {
        let body = text.replacing("\\", with: "\\e").replacing("-", with: "\\-").replacing("\n", with: " ")
        return body.hasPrefix(".") || body.hasPrefix("'") ? "\\&" + body : body
    }
}

extension ManualPage.Argument {
    /// `--help` and `--version`, which every command has.
    var isBuiltIn: Bool { names?.contains { ["help", "version"].contains($0.name) } == true }

    private var value: String { "<\(valueName ?? "value")>" }

    private var flags: [String] {
        (names ?? []).map { ($0.kind == "short" || $0.kind == "longWithSingleDash" ? "-" : "--") + $0.name }
    }

    /// As in a line of usage: `[--state <state>]`.
    var usage: String {
        let body: String
        switch kind {
        case "positional": body = value + (isRepeating ? " ..." : "")
        case "flag": body = flags.first ?? ""
        default: body = "\(flags.first ?? "") \(value)" + (isRepeating ? " ..." : "")
        }
        return isOptional ? "[\(body)]" : body
    }

    /// As the head of its explanation: `--state <state>`.
    var title: String {
        kind == "positional" ? value : flags.joined(separator: ", ") + (kind == "option" ? " \(value)" : "")
    }

    var explanation: String {
        var parts = [abstract ?? ""]
        if let allValues, !allValues.isEmpty { parts.append("One of \(allValues.joined(separator: ", ")).") }
        if let defaultValue, kind != "flag" { parts.append("Default: \(defaultValue).") }
        return parts.filter { !$0.isEmpty }.joined(separator: " ")
    }
}
