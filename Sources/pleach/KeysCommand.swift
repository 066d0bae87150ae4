import ArgumentParser
import Foundation
import Transport

struct KeysCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "keys",
        abstract: "Make key pairs and say whose keys a coordinator lets in.",
        discussion: """
            DIR is a coordinator's key folder, STATE/keys; changes hold at once, also while it runs. Example: \
            pleach keys allow pleach-state/keys site-a.key --name site-a
            """,
        subcommands: [
            KeysNewCommand.self, KeysShowCommand.self, KeysAllowCommand.self, KeysRevokeCommand.self,
            KeysListCommand.self,
        ])
}

struct KeysNewCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "new", abstract: "Make a key pair: NAME.key (public) and NAME.secret.",
        discussion: "Example: pleach keys new site-a-keys --name worker")

    @Argument(help: "The folder to write to.")
    var directory: String

    @Option(help: "Name of the two files.")
    var name = "worker"

    func run() async throws {
        try await exitingOnError {
            let pair = try KeyPair.generate()
            let paths = try KeyFile.write(pair, directory: directory, name: name)
            print("\(paths.publicPath): \(pair.publicKey)")
            print("\(paths.secretPath): keep it secret")
        }
    }
}

struct KeysShowCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show", abstract: "Print the public key of a .key file.",
        discussion: "Example: pleach keys show pleach-state/keys/server.key")

    @Argument(help: "A .key file.")
    var file: String

    func run() async throws {
        try await exitingOnError { print(try KeyFile.readPublic(file)) }
    }
}

struct KeysAllowCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "allow", abstract: "Let a worker's key in, under a name.",
        discussion: "Example: pleach keys allow pleach-state/keys site-a.key --name site-a")

    @Argument(help: "The coordinator's key folder, STATE/keys.")
    var directory: String

    @Argument(help: "A public key, or a .key file.")
    var key: String

    @Option(help: "The worker's name: letters, digits, '.', '_' and '-'.")
    var name: String

    func run() async throws {
        try await exitingOnError {
            try AllowList(directory: directory + "/allowed").allow(key: try KeyFile.readPublic(key), name: name)
            print("\(name) is allowed")
        }
    }
}

struct KeysRevokeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "revoke", abstract: "No longer let a worker in.",
        discussion: "Example: pleach keys revoke pleach-state/keys site-a")

    @Argument(help: "The coordinator's key folder, STATE/keys.")
    var directory: String

    @Argument(help: "The worker's name.")
    var name: String

    func run() async throws {
        try await exitingOnError {
            try AllowList(directory: directory + "/allowed").revoke(name: name)
            print("\(name) is no longer allowed")
        }
    }
}

struct KeysListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "List the workers that are let in.",
        discussion: "Example: pleach keys list pleach-state/keys")

    @Argument(help: "The coordinator's key folder, STATE/keys.")
    var directory: String

    func run() async throws {
        try await exitingOnError {
            for allowed in AllowList(directory: directory + "/allowed").list() {
                print("\(allowed.name.padding(toLength: 24, withPad: " ", startingAt: 0)) \(allowed.publicKey)")
            }
        }
    }
}
