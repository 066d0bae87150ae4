import ArgumentParser

/// A shell's completions, for whoever does not know that any command makes them with `--generate-completion-script`.
struct CompletionsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "completions",
        abstract: "Print completions for a shell: bash, zsh or fish.",
        discussion: """
            Examples:
              pleach completions bash > ~/.local/share/bash-completion/completions/pleach
              pleach completions zsh > ~/.zfunc/_pleach     (with fpath+=(~/.zfunc) before compinit in ~/.zshrc)
              pleach completions fish > ~/.config/fish/completions/pleach.fish
            """)

    @Argument(help: "The shell.", completion: .list(CompletionShell.allCases.map(\.rawValue)))
    var shell: String

    func run() async throws {
        try await exitingOnError {
            guard let shell = CompletionShell(rawValue: shell) else {
                let known = CompletionShell.allCases.map(\.rawValue).sorted().joined(separator: ", ")
                throw ValidationError("completions for '\(shell)' are not made: \(known)")
            }
            print(Pleach.completionScript(for: shell))
        }
    }
}
