import Foundation

extension Chaos {
    /// Keys, allow-list, network and command lines of the disturbed federation.
    func prepare(plan: String) throws {
        let names = ["coordinator"] + (1...options.workers).map { "worker-\($0)" }
        if options.namespaces {
            let (network, note) = ChaosNetwork.make(nodes: names)
            self.network = network
            say(note)
        }
        let address = network == nil ? "127.0.0.1:\(try freePort())" : "\(ChaosNetwork.address(0)):7700"
        for name in names.dropFirst() {
            try tool(["keys", "new", "\(roughState)/\(name)/keys", "--name", "worker"])
            try tool(["keys", "allow", roughState + "/keys", "\(roughState)/\(name)/keys/worker.key", "--name", name])
        }
        for (index, name) in names.enumerated() {
            let isCoordinator = index == 0
            let state = isCoordinator ? roughState : "\(roughState)/\(name)"
            let command =
                isCoordinator
                ? ["coordinator", plan, "--bind", "tcp://\(address)", "--state", state]
                : [
                    "worker", "--coordinator", "tcp://\(address)", "--server-key", roughState + "/keys/server.key",
                    "--data",
                    "synthetic:digits?partition=dirichlet:1&seed=7&samples=1200&shard=\(index)/\(options.workers)",
                    "--name", name, "--state", state, "--patience", "600", "--quiet",
                ]
            nodes.append(
                Node(
                    name: name,
                    command: (network?.entering(name) ?? []) + [options.binary] + command
                        + ["--exit-with-standard-input"],
                    log: "\(state)/logs/\(name).jsonl", output: "\(folder)/\(name).log"))
        }
        // Workers read the server's key when they start, so the coordinator makes it first.
        try nodes[0].start()
        try waitUntil("the coordinator's key") {
            FileManager.default.fileExists(atPath: roughState + "/keys/server.key")
        }
        nodes[0].killNow()
    }

    func waitUntil(_ what: String, seconds: Double = 60, _ condition: () -> Bool) throws {
        let deadline = Date(timeIntervalSinceNow: seconds)
        while !condition() {
            guard !isCancelled() else { throw ChaosError("interrupted") }
            guard Date() < deadline else { throw ChaosError("waited \(seconds) s for \(what)") }
            usleep(5_000)
        }
    }

    private func tool(_ arguments: [String]) throws {
        let ending = reap(try spawn([options.binary] + arguments, output: folder + "/keys.log"), blocking: true)
        guard !isCancelled() else { throw ChaosError("interrupted") }
        guard ending == .exited(0) else { throw ChaosError("pleach \(arguments.joined(separator: " ")) failed") }
    }

    /// A port that is free now. Restarts of the coordinator need the same one again.
    private func freePort() throws -> UInt16 {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let found = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, length) == 0 && getsockname(descriptor, $0, &length) == 0
            }
        }
        guard found else { throw ChaosError("no free port") }
        return UInt16(bigEndian: address.sin_port)
    }
}
