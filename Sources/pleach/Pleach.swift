import ArgumentParser
import Federation

/// The command line: one thin file per command.
@main
struct Pleach: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pleach",
        abstract: "Federated model compression: many machines turn one big model into one small one.",
        discussion: """
            Example: pleach run Examples/demo/plan.yaml --workers 3

            Exit codes: 0 success, 1 internal error, 2 plan, 3 model, 4 data, 5 network, 6 keys, 7 no workers, \
            8 disk full, 9 state, 10 stopped (resumable), 11 task failed, 64 usage (docs/exit-codes.md).
            """,
        version: softwareVersion,
        subcommands: [
            RunCommand.self, CoordinatorCommand.self, WorkerCommand.self, KeysCommand.self, DoctorCommand.self,
            PlanCommand.self, StatusCommand.self, LogsCommand.self, ReportCommand.self, CompareCommand.self,
            ModelCommand.self, DataCommand.self, UpdateCommand.self, BenchCommand.self, BenchWorkersCommand.self,
            CompletionsCommand.self, ManualCommand.self,
        ])
}
