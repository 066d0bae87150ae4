import ArgumentParser

struct DataCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "data",
        abstract: "Look at data before training on them.",
        discussion: "Example: pleach data inspect 'folder:../shared/data/cifar10?size=32' --shards 4",
        subcommands: [DataInspectCommand.self])
}
