import Foundation

/// A network namespace for each node, joined by a bridge in a namespace of its own; the host's network is not touched.
/// Names hold our process id, so that what a killed harness left is found and removed by the next.
final class ChaosNetwork {
    let delays: Bool
    private let prefix: String
    private let nodes: [String]

    private static let family = "pleach-chaos-"

    /// - Returns: nil with a reason where namespaces cannot be made.
    static func make(nodes: [String]) -> (network: ChaosNetwork?, note: String) {
        removeStale()
        let network = ChaosNetwork(nodes: nodes)
        if let failure = network.failure {
            network.remove()
            return (nil, "loopback only: \(failure)")
        }
        let netem = network.delays ? "3 ms delay and 1 % loss" : "no delay or loss: this kernel has no netem"
        return (network, "\(nodes.count) network namespaces on a bridge, \(netem)")
    }

    private var failure: String?

    private init(nodes: [String]) {
        self.nodes = nodes
        prefix = "\(Self.family)\(getpid())-"
        var delays = true
        let hub = prefix + "hub"
        var steps = [
            ["netns", "add", hub], ["-n", hub, "link", "add", "bridge", "type", "bridge"],
            ["-n", hub, "link", "set", "bridge", "up"],
        ]
        for (index, node) in nodes.enumerated() {
            let space = prefix + node
            steps += [
                ["netns", "add", space],
                ["-n", hub, "link", "add", "port\(index)", "type", "veth", "peer", "name", "eth0", "netns", space],
                ["-n", hub, "link", "set", "port\(index)", "master", "bridge", "up"],
                ["-n", space, "addr", "add", "\(Self.address(index))/24", "dev", "eth0"],
                ["-n", space, "link", "set", "eth0", "up"], ["-n", space, "link", "set", "lo", "up"],
            ]
        }
        for step in steps where failure == nil {
            if !Self.tool("ip", step) { failure = "'ip \(step.joined(separator: " "))' failed" }
        }
        for node in nodes where delays && failure == nil {
            let netem = ["-n", prefix + node, "qdisc", "add", "dev", "eth0", "root", "netem"]
            delays = Self.tool("tc", netem + ["delay", "3ms", "1ms", "loss", "1%"])
        }
        self.delays = delays
    }

    static func address(_ index: Int) -> String { "10.77.0.\(index + 1)" }

    /// What stands before a command to run it at a node; `ip` becomes the command, so the process id stays.
    func entering(_ node: String) -> [String] { ["ip", "netns", "exec", prefix + node] }

    /// Cuts a node off, or joins it again.
    func setLink(_ node: String, up: Bool) {
        guard let index = nodes.firstIndex(of: node) else { preconditionFailure("no node \(node)") }
        _ = Self.tool("ip", ["-n", prefix + "hub", "link", "set", "port\(index)", up ? "up" : "down"])
    }

    /// Removes every namespace; links go with them.
    func remove() { for name in nodes + ["hub"] { _ = Self.tool("ip", ["netns", "del", prefix + name]) } }

    private static func removeStale() {
        for name in (try? FileManager.default.contentsOfDirectory(atPath: "/run/netns")) ?? []
        where name.hasPrefix(family) {
            let owner = name.dropFirst(family.count).prefix { $0 != "-" }
            if let pid = pid_t(owner), kill(pid, 0) != 0 { _ = tool("ip", ["netns", "del", name]) }
        }
    }

    /// Runs a tool of iproute2; false when it fails or is not there.
    private static func tool(_ name: String, _ arguments: [String]) -> Bool {
        guard let pid = try? spawn([name] + arguments) else { return false }
        return reap(pid, blocking: true) == .exited(0)
    }
}
