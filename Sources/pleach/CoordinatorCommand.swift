import ArgumentParser
import Coordinator
import Federation
import Foundation
import Monitor

/// Options that `run` and `coordinator` share.
struct PlanOptions: ParsableArguments {
    @Argument(help: "The plan, a YAML file (protocols/plan.md).", completion: .file(extensions: ["yaml", "yml"]))
    var plan: String

    @Option(help: "State folder: ledger, blobs, keys, logs and results.", completion: .directory)
    var state = "pleach-state"

    @Option(
        help: "Serve a status page, /metrics and /healthz on this address, such as 127.0.0.1:7780; others need a token."
    )
    var http: String?

    @Option(
        help: "File with the token that requests to --http have to bring; PLEACH_HTTP_TOKEN may hold one instead.")
    var httpToken: String?

    @Option(help: "Workers to ask in each round; the plan's fleet.workers unless given.")
    var workers: Int?

    @Option(help: "Threads of the coordinator that fold and compress; one for each processor, at most 8, unless given.")
    var threads: Int?

    @Flag(help: "Forget an earlier run in the state folder (its keys stay).")
    var fresh = false

    @Flag(help: "Print events as JSON lines.")
    var json = false

    @Flag(help: "Only look whether anything stands against a start; nothing is started, made or changed.")
    var check = false

    @OptionGroup var log: LogOptions

    var codecThreads: Int { threads ?? min(8, ProcessInfo.processInfo.activeProcessorCount) }

    /// The token of the status page, if there is one. An address that needs one and has none is an error before anything starts.
    func statusToken() throws -> AccessToken? {
        guard let http else {
            guard httpToken == nil else { throw ValidationError("--http-token is for the page of --http: give both") }
            return nil
        }
        let token = try AccessToken.given(file: httpToken)
        try StatusServer.check(address: http, token: token)
        return token
    }

    /// Reads and checks the plan.
    func load() throws -> (plan: Plan, text: String) {
        if let threads, !(1...256).contains(threads) { throw ValidationError("--threads must be 1 to 256") }
        return try PlanFile.load(plan, workers: workers)
    }
}

struct CoordinatorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "coordinator",
        abstract: "Coordinate a run: hand tasks to workers, fold their results, export the compact model.",
        discussion: """
            Prints the endpoint and public key that workers need. Workers must be allowed: pleach keys allow. With --check \
            it says what stands against a start, with the exit code that the start would have. Example: \
            pleach coordinator Examples/mnist/plan.yaml --bind tcp://0.0.0.0:7700 --state pleach-state
            """)

    @OptionGroup var options: PlanOptions

    @Option(help: "Address to listen on.")
    var bind = "tcp://0.0.0.0:7700"

    @Flag(help: .hidden)
    var exitWithStandardInput = false

    func run() async throws {
        try await exitingOnError {
            if options.check { return try StartReport(options, bind: bind).print() }
            let (plan, text) = try options.load()
            let token = try options.statusToken()
            if options.fresh { try RunState.erase(directory: options.state) }
            let console = try EventConsole(
                state: options.state, name: "coordinator", json: options.json, bytes: plan.limits.logBytes,
                files: plan.limits.logFiles, log: options.log)
            let service = try CoordinatorService(
                CoordinatorOptions(
                    plan: plan, planText: text, planPath: options.plan, bind: bind, state: options.state,
                    http: options.http, httpToken: token, threads: options.codecThreads),
                sink: { console.take($0) })
            console.note("coordinator listens on \(service.endpoint), public key \(service.publicKey)")
            console.follow { await service.status().liveBars }
            let signals = StopSignals { service.stop() }
            if exitWithStandardInput { signals.stopAtEndOfInput() }
            let outcome = try await service.run()
            console.close()
            if let report = outcome.report, !options.json { print(report.table()) }
            guard !outcome.succeeded else { return }
            if outcome.failure != .stopped { printError(outcome.reason) }
            try endProcess(PleachExit(outcome.failure ?? .numerics))
        }
    }
}
