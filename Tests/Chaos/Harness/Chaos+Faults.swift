import Foundation

extension Chaos {
    /// Events whose next instants are narrow windows: something is durable that nobody was told of, or the reverse.
    private static let coordinatorEvents = [
        "contribution.accepted", "round.closed", "snapshot.published", "round.opened", "task.assigned",
        "stage.finished", "mask.decided", "export.finished",
    ]
    private static let workerEvents = ["task.started", "task.finished", "transfer.finished"]

    private enum Fault { case killCoordinator, killWorker, burst, freeze, partition }

    /// Disturbs until the kills are done, then lets the run finish.
    func disturb() throws {
        let deadline = Date(timeIntervalSinceNow: options.limitSeconds)
        while result.kills < options.kills {
            let fault = nextFault()
            let victims = choose(fault)
            guard let moment = try reachMoment(victims[0], deadline: deadline) else { break }
            try perform(fault, victims, moment)
        }
        if result.kills < options.kills, result.faults.isEmpty {
            result.faults.append("the run ended after \(result.kills) of \(options.kills) kills: give it more rounds")
        }
        say("no more faults")
        while try !coordinatorIsDone(deadline: deadline) { usleep(5_000) }
        say("the run is over")
        // Workers end by themselves once they are told; one that was down at that moment cannot be told any more.
        let patience = Date(timeIntervalSinceNow: 3)
        while Date() < patience, nodes.dropFirst().contains(where: { $0.process != nil }) {
            for node in nodes.dropFirst() { _ = node.ending() }
            usleep(20_000)
        }
    }

    private func nextFault() -> Fault {
        switch random.index(below: 20) {
        case 0..<8: .killCoordinator
        case 8..<14: .killWorker
        case 14..<16: .burst
        case 16..<18: options.freezes ? .freeze : .killWorker
        default: network == nil ? .killCoordinator : .partition
        }
    }

    private func choose(_ fault: Fault) -> [Node] {
        let worker = nodes[1 + random.index(below: options.workers)]
        switch fault {
        case .killCoordinator: return [nodes[0]]
        case .killWorker: return [worker]
        case .burst: return [nodes[0], worker]
        case .freeze, .partition: return [nodes[random.index(below: nodes.count)]]
        }
    }

    /// Waits for a random instant or for an event of the victim. nil once the run is over.
    private func reachMoment(_ victim: Node, deadline: Date) throws -> String? {
        let events = victim.isCoordinator ? Self.coordinatorEvents : Self.workerEvents
        let event = events[random.index(below: events.count)]
        let waitsForEvent = random.index(below: 3) > 0
        let pause = waitsForEvent ? 1.2 : 0.05 + Double(random.uniform()) * 0.5
        let afterEvent = UInt32(random.index(below: 3) * random.index(below: 8000))
        var watch = LogWatch(victim.log)
        let end = Date(timeIntervalSinceNow: pause)
        while Date() < end {
            if try coordinatorIsDone(deadline: deadline) { return nil }
            if waitsForEvent, watch.saw(event) {
                usleep(afterEvent)
                return "\(afterEvent / 1000) ms after \(event)"
            }
            usleep(1_000)
        }
        return "at a random instant"
    }

    private func perform(_ fault: Fault, _ victims: [Node], _ moment: String) throws {
        let names = victims.map(\.name).joined(separator: " and ")
        switch fault {
        case .killCoordinator, .killWorker, .burst:
            for victim in victims where victim.process != nil {
                victim.killNow()
                if victim.isCoordinator { result.coordinatorKills += 1 } else { result.workerKills += 1 }
            }
            let cut = victims.reduce(0) { $0 + cutPartialFiles(of: $1) }
            say("kill       \(names), \(moment)" + (cut > 0 ? "; \(cut) partial files cut" : ""))
            pause(Double(random.uniform()) * 0.8)
            for victim in victims { try victim.start() }
        case .freeze:
            let seconds = ChaosOptions.leaseSeconds + 0.5 + Double(random.uniform())
            say("freeze     \(names), \(moment), \(String(format: "%.1f", seconds)) s")
            victims[0].signal(SIGSTOP)
            result.freezes += 1
            pause(seconds)
            victims[0].signal(SIGCONT)
        case .partition:
            let seconds = 0.2 + Double(random.uniform()) * (ChaosOptions.leaseSeconds + 1)
            say("partition  \(names), \(moment), \(String(format: "%.1f", seconds)) s")
            network?.setLink(victims[0].name, up: false)
            result.partitions += 1
            pause(seconds)
            network?.setLink(victims[0].name, up: true)
        }
    }

    private func pause(_ seconds: Double) {
        let end = Date(timeIntervalSinceNow: seconds)
        while Date() < end, !isCancelled() { usleep(5_000) }
    }

    /// Cuts files that were being written when their process died: such a file may end anywhere.
    private func cutPartialFiles(of node: Node) -> Int {
        let state = node.isCoordinator ? roughState : "\(roughState)/\(node.name)"
        var cut = 0
        for folder in ["\(state)/blobs/partial", "\(state)/blobs/temporary"] {
            for name in ((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []).sorted() {
                var facts = stat()
                guard stat("\(folder)/\(name)", &facts) == 0, facts.st_size > 0 else { continue }
                guard truncate("\(folder)/\(name)", off_t(random.index(below: Int(facts.st_size)))) == 0 else {
                    continue
                }
                cut += 1
            }
        }
        result.cutFiles += cut
        return cut
    }

    /// Whether the coordinator ended with success. Whoever else ends without being killed is a fault.
    private func coordinatorIsDone(deadline: Date) throws -> Bool {
        guard !isCancelled() else { throw ChaosError("interrupted") }
        guard Date() < deadline else {
            result.faults.append("the run did not end within \(Int(options.limitSeconds)) s: \(lastLines())")
            throw ChaosError(result.faults[0])
        }
        for node in nodes.dropFirst() {
            guard let ending = node.ending(), ending != .exited(0) else { continue }
            result.faults.append("\(node.name) ended by itself: \(ending); \(lastLine(of: node.output))")
            say(result.faults[result.faults.count - 1])
            try node.start()
        }
        guard nodes[0].process != nil else { return true }
        guard let ending = nodes[0].ending() else { return false }
        if ending != .exited(0) {
            result.faults.append("the coordinator ended by itself: \(ending); \(lastLine(of: nodes[0].output))")
            say(result.faults[result.faults.count - 1])
        }
        return true
    }

    private func lastLines() -> String { nodes.map { "\($0.name): \(lastLine(of: $0.log))" }.joined(separator: "; ") }

    private func lastLine(of file: String) -> String {
        let text = (try? String(contentsOfFile: file, encoding: .utf8)) ?? ""
        return text.split(separator: "\n").last.map(String.init) ?? "(nothing)"
    }
}
