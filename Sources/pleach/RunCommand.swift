import ArgumentParser
import Coordinator
import Engine
import Federation
import Foundation
import Monitor

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
            if options.check { return try check() }
            let (plan, _) = try options.load()
            let data = try demands(of: plan)
            let federation = try LocalFederation(
                options: options, plan: plan, data: data, device: engine.device,
                workers: plan.fleet.workers + plan.fleet.overSelect)
            try endProcess(await federation.run())
        }
    }

    private func check() throws {
        var data = ""
        try StartReport(options, bind: "tcp://127.0.0.1:*").print(
            demands: { data = try demands(of: $0) }, data: { try lookAtData(data, $0, $1) })
    }

    /// What a plan must say besides, where the workers are ours.
    /// - Returns: the SPEC of their data.
    private func demands(of plan: Plan) throws -> String {
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
        return data
    }

    /// What our workers would refuse.
    private func lookAtData(_ data: String, _ plan: Plan, _ examined: ExaminedModel?) throws -> Finding {
        let environment = ProcessInfo.processInfo.environment
        if let set = plan.publicData { _ = try DataSpec(parsing: set, environment: environment) }
        let spec = try DataSpec(parsing: data, environment: environment)
        let count = plan.fleet.workers + plan.fleet.overSelect
        // The last shard is the first that a partition cannot fill.
        let shard = try Dataset.load(spec.with(shardIndex: count, count: count).with(split: .train))
        if let examined { try shard.checkFits(examined.graph) }
        return Finding("data", "\(data) in \(count) shards fits the model")
    }
}
