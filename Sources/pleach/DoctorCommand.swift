import ArgumentParser
import Foundation
import Monitor

struct DoctorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract:
            "Look whether this machine is ready: libraries, keys, ports, clock, disk, memory, data, the coordinator.",
        discussion: """
            One line a check: ok, warning or failed, what was found and what helps. With --coordinator it looks as a worker \
            does, and asks the coordinator whether it would be welcome, without joining the run; otherwise as a coordinator \
            does. A plan adds its model, its stages and estimates of what they need. Nothing is written but a file that tries \
            the disk and goes away again. The exit code is that of the first check that failed.

            Examples:
              pleach doctor
              pleach doctor Examples/mnist/plan.yaml --state pleach-state --bind tcp://0.0.0.0:7700
              pleach doctor --coordinator tcp://10.0.0.1:7700 --server-key server.key --data 'idx:/data/mnist' --state worker-state
            """)

    @Argument(help: "A plan to look at this machine for.", completion: .file(extensions: ["yaml", "yml"]))
    var plan: String?

    @Option(
        help: "State folder; pleach-state, or pleach-worker with --coordinator, unless given.", completion: .directory)
    var state: String?

    @Option(help: "Ask the coordinator at this address, tcp://HOST:PORT.")
    var coordinator: String?

    // A key of another tool may begin with a hyphen.
    @Option(
        parsing: .unconditional, help: "The coordinator's public key, or a file that holds it.",
        completion: .file(extensions: ["key"]))
    var serverKey: String?

    @Option(help: "Data SPEC to look at; the plan's own unless given, where this machine coordinates.")
    var data: String?

    @Option(name: .customLong("public"), help: "Data SPEC of the public set of an ensemble.")
    var publicData: String?

    @Option(help: "A teacher of this machine's own, an ONNX file.")
    var teacher: String?

    @Option(
        help: "An ONNX file that the data must fit; the plan's model unless given.",
        completion: .file(extensions: ["onnx"]))
    var model: String?

    @Option(help: "Address that a coordinator here would listen on.")
    var bind = "tcp://0.0.0.0:7700"

    @Option(help: "Address that its status page would have.")
    var http: String?

    @Option(help: "File with the page's token; PLEACH_HTTP_TOKEN may hold it instead.")
    var httpToken: String?

    @Option(help: "Workers to ask in each round; the plan's fleet.workers unless given.")
    var workers: Int?

    @Option(help: "Seconds to wait for the coordinator.")
    var patience = 10.0

    @Flag(help: "Print JSON.")
    var json = false

    func run() async throws {
        try await exitingOnError {
            guard coordinator == nil || serverKey != nil else {
                throw ValidationError("--coordinator needs --server-key: the public key that it must prove to have")
            }
            guard httpToken == nil || http != nil else {
                throw ValidationError("--http-token is for the page of --http: give both")
            }
            guard patience > 0, patience <= 3600 else {
                throw ValidationError("--patience is above 0 and at most 3600")
            }
            let doctor = Doctor(self)
            await doctor.look()
            if json {
                try printJSON(doctor.findings)
            } else {
                print(doctor.findings.verdict)
            }
            if let code = doctor.findings.firstFailure?.exitCode { throw ExitCode(code) }
        }
    }
}
