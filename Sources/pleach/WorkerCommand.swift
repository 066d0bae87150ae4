import ArgumentParser
import Engine
import Federation
import Foundation
import Transport
import Worker

struct WorkerCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "worker",
        abstract: "Work for a coordinator on data that stays on this machine.",
        discussion: """
            On first start the worker makes its key pair in STATE/keys; its public key must be allowed at the \
            coordinator (pleach keys allow). Example: pleach worker --coordinator tcp://10.0.0.1:7700 \
            --server-key server.key --data 'idx:/data/mnist?shard=1/4' --name site-a --state worker-state
            """)

    @Option(help: "The coordinator's address, tcp://HOST:PORT.")
    var coordinator: String

    // A key of another tool may begin with a hyphen.
    @Option(
        parsing: .unconditional, help: "The coordinator's public key, or a file that holds it.",
        completion: .file(extensions: ["key"]))
    var serverKey: String

    @Option(
        help: "Data SPEC: idx:, folder:, npy: or tokens: and a path, safetensors:FILE or synthetic:NAME, with ?options."
    )
    var data: String

    @Option(help: "A name for this worker's own log; the coordinator's allow-list names it for others.")
    var name = ProcessInfo.processInfo.hostName

    @Option(help: "State folder: keys, cached blobs, the residual.", completion: .directory)
    var state = "pleach-worker"

    @Option(help: "Threads of libtorch.")
    var threads = 1

    @Option(help: "How wide a model this machine can train, as a share of the channels; plans with widths ask for it.")
    var strength = 1.0

    @Option(
        name: .customLong("public"),
        help:
            "Data SPEC of the public set that all workers of an ensemble have, such as idx:DIR?holdout=5000&part=public."
    )
    var publicData: String?

    @Option(
        help:
            "Whose model to train in ensembles: shared, the run's, or one of your own: an architecture or an ONNX file."
    )
    var student = "shared"
    @Option(help: "A teacher of this machine's own, an ONNX file: plans with 'teacher: {own: true}' ask for it.")
    var teacher: String?

    @OptionGroup var engine: EngineOptions

    @Option(help: "Seconds to look for the coordinator before giving up.")
    var patience = 120.0

    @Option(help: "Largest blob this worker takes or gives, such as 500MiB.")
    var blobLimit = "4GiB"

    @Option(help: "Size of one log file before the next is begun.")
    var logSize = "64MiB"

    @Option(help: "Log files kept.")
    var logFiles = 4

    @OptionGroup var log: LogOptions

    @Flag(help: "Print events as JSON lines.")
    var json = false

    @Flag(help: .hidden)
    var quiet = false

    @Flag(help: .hidden)
    var exitWithStandardInput = false

    private func size(_ text: String, _ option: String, _ range: ClosedRange<Int>) throws -> Int {
        guard let bytes = PlanSize.bytes(text), range.contains(bytes) else {
            throw ValidationError(
                "\(option) '\(text)' is not a size from \(range.lowerBound) to \(range.upperBound) bytes, such as 64MiB"
            )
        }
        return bytes
    }

    func run() async throws {
        try await exitingOnError {
            guard threads > 0, patience > 0 else { throw ValidationError("--threads and --patience must be positive") }
            guard strength > 0, strength <= 1 else { throw ValidationError("--strength must be above 0 and at most 1") }
            try engine.apply()
            let spec = try DataSpec(parsing: data, environment: ProcessInfo.processInfo.environment)
            let publicSpec = try publicData.map {
                try DataSpec(parsing: $0, environment: ProcessInfo.processInfo.environment)
            }
            guard student == "shared" || publicSpec != nil else {
                throw ValidationError("--student \(student) needs --public: only ensembles know workers' own models")
            }
            let logBytes = try size(logSize, "--log-size", 64 << 10...1 << 40)
            guard (1...1000).contains(logFiles) else { throw ValidationError("--log-files is 1 to 1000") }
            let console = try EventConsole(
                state: state, name: name, json: json, quiet: quiet, bytes: logBytes, files: logFiles, log: log)
            let service = try WorkerService(
                WorkerOptions(
                    coordinator: coordinator, serverKey: serverKey, data: spec, name: name, state: state,
                    threads: threads, strength: strength, teacher: teacher, patienceSeconds: patience,
                    blobBytes: try size(blobLimit, "--blob-limit", 1 << 20...MessageLimits.blobBytes),
                    publicData: publicSpec, student: StudentSource(word: student)),
                sink: { console.take($0) })
            console.note("worker \(name), public key \(service.publicKey)")
            console.follow { await service.liveBars() }
            let signals = StopSignals { service.stop() }
            if exitWithStandardInput { signals.stopAtEndOfInput() }
            let outcome = try await service.run()
            console.close()
            switch outcome {
            case .runFinished: console.note("the run finished")
            case .stopped: console.note("stopped")
            case .refused(_, let reason): printError("the coordinator refused this worker: \(reason)")
            case .turnedAway(let reason):
                printError(
                    "\(reason); our public key is \(service.publicKey): "
                        + "on the coordinator run 'pleach keys allow STATE/keys KEY --name NAME', and check --server-key"
                )
            case .unreachable(let reason): printError(reason)
            case .failed(let reason), .diskFull(let reason): printError(reason)
            }
            try endProcess(PleachExit(outcome))
        }
    }
}
