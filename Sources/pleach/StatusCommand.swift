import ArgumentParser
import Federation
import Foundation
import Monitor

struct StatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "Show where a run stands: stage, round, k of n, who is late and why it waits.",
        discussion: """
            From the state folder it works whether or not a coordinator is running; from a URL (coordinator --http) it \
            also knows who is connected and for how long the round has been open. \
            Example: pleach status --url http://127.0.0.1:7780
            """)

    @Option(help: "The coordinator's state folder; pleach-state unless given.")
    var state: String?

    @Option(help: "The coordinator's status page, http://HOST:PORT.")
    var url: String?

    @Option(help: "File with the page's token, if it wants one; PLEACH_HTTP_TOKEN may hold it instead.")
    var httpToken: String?

    @Flag(help: "Print JSON.")
    var json = false

    func validate() throws {
        if state != nil, url != nil { throw ValidationError("give --state or --url, not both") }
        if httpToken != nil, url == nil { throw ValidationError("--http-token is for the page at --url: give both") }
    }

    func run() async throws {
        try await exitingOnError {
            let status =
                if let url {
                    try StatusClient.status(
                        url: url,
                        token: AccessToken.given(file: httpToken))
                } else {
                    try statusFromState(state ?? "pleach-state")
                }
            let text = json ? String(decoding: status.json(), as: UTF8.self) : status.text() + "\n"
            try FileHandle.standardOutput.write(contentsOf: Data(text.utf8))
        }
    }
}
