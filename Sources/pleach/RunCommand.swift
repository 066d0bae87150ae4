import ArgumentParser
import Coordinator
import Federation
import Foundation
import Transport

struct RunCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run",
        abstract: "Run a whole federation on this machine: one coordinator and N worker processes.",
        discussion: """
            Run again with the same --state to go on after a stop or a crash. Example: \
            pleach run Examples/mnist/plan.yaml --workers 4
            """)

    @OptionGroup var options: PlanOptions
    @OptionGroup var engine: EngineOptions

    func run() async throws {
        try await exitingOnError {
            // Here rather than in each worker: a device that is missing is one error, not one a worker.
            try engine.apply()
            let (plan, _) = try options.load()
            _ = try options.statusToken()
            guard let data = plan.data else {
                throw PlanError(
                    path: options.plan, line: nil, message: "'pleach run' needs the key 'data': a SPEC for its workers")
            }
            guard plan.publicData != nil || !plan.hasEnsemble else {
                throw PlanError(
                    path: options.plan, line: nil,
                    message:
                        "'pleach run' needs the key 'public' for a stage with an ensemble: the SPEC of the set that all "
                        + "workers have, such as \(data.prefix(while: { $0 != "?" }))?holdout=1000&part=public, and holdout=1000 in 'data'"
                )
            }
            guard !plan.needsOwnTeachers || !plan.fleet.teachers.isEmpty else {
                throw PlanError(
                    path: options.plan, line: nil,
                    message: "a stage learns from its workers' own teachers: 'pleach run' needs their files under "
                        + "'teachers' in fleet")
            }
            let federation = try LocalFederation(
                options: options, plan: plan, data: data, device: engine.device,
                workers: plan.fleet.workers + plan.fleet.overSelect)
            try endProcess(await federation.run())
        }
    }
}
