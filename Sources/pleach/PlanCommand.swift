import ArgumentParser

struct PlanCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "plan",
        abstract: "Read plans before they are carried out.",
        discussion: "Example: pleach plan explain Examples/mnist/plan.yaml",
        subcommands: [PlanExplainCommand.self])
}
