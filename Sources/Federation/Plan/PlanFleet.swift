extension PlanReader {
    func fleet(in top: PlanSection) throws(PlanError) -> FleetRules {
        let section =
            try top.section("fleet", place: "fleet", keys: PlanKeys.fleet)
            ?? .absent(path: path, place: "fleet", line: top.line, keys: PlanKeys.fleet)
        let day: Double = 86_400
        let workers = try section.integer("workers", FleetRules.workerCounts, default: 2)
        let lease = try section.duration("lease", .from(0.1, upTo: day), default: 30)
        let fleet = FleetRules(
            workers: workers,
            quorum: try section.integer("quorum", 1...1024, default: workers),
            overSelect: try section.integer("overSelect", 0...1024, default: 0),
            rounds: try section.choice("rounds", Choices(RoundMode.self), default: .synchronous),
            buffer: try section.integer("buffer", 1...1024),
            maximumStaleness: try section.integer("maximumStaleness", 0...1000, default: 10),
            deadlineSeconds: try section.duration("deadline", .from(0.1, upTo: 30 * day), default: 600),
            waitSeconds: try section.duration("wait", .from(0.1, upTo: 30 * day), default: 120),
            leaseSeconds: lease,
            heartbeatSeconds: try section.duration("heartbeat", .from(0.02, upTo: day), default: min(5, lease / 4)),
            threads: try section.integer("threads", 1...256, default: 1),
            widths: try section.numbers("widths", .above(0, upTo: 1), counts: 1...8) ?? [1],
            strengths: try section.numbers("strengths", .above(0, upTo: 1), counts: 1...1024) ?? [1],
            students: try students(in: section), teachers: try teachers(in: section))
        guard fleet.quorum <= workers else {
            throw section.error(
                "quorum", "'quorum' in fleet is \(fleet.quorum) but only \(workers) workers are asked; lower it")
        }
        guard fleet.buffer <= workers else {
            throw section.error(
                "buffer", "'buffer' in fleet is \(fleet.buffer) but only \(workers) workers are asked; lower it")
        }
        for key in ["buffer", "maximumStaleness"] where section.has(key) && fleet.rounds == .synchronous {
            throw section.error(key, "'\(key)' in fleet needs rounds: asynchronous")
        }
        guard fleet.widths.first == 1, zip(fleet.widths, fleet.widths.dropFirst()).allSatisfy({ $0 > $1 }) else {
            throw section.error(
                "widths", "'widths' in fleet must begin with 1, the whole model, and fall, such as [1, 0.5, 0.25]")
        }
        guard fleet.hasWidths || fleet.strengths.allSatisfy({ $0 == 1 }) else {
            throw section.error(
                "strengths", "'strengths' in fleet below 1 need widths below 1, such as widths: [1, 0.5, 0.25]")
        }
        // One lost heartbeat must not cost a lease.
        guard fleet.heartbeatSeconds * 2 <= lease else {
            throw section.error(
                section.has("heartbeat") ? "heartbeat" : "lease",
                "'heartbeat' in fleet (\(PlanDuration.plain(fleet.heartbeatSeconds)) s) must be at most half of "
                    + "'lease' (\(PlanDuration.plain(lease)) s)")
        }
        return fleet
    }

    private func teachers(in section: PlanSection) throws(PlanError) -> [String] {
        var paths: [String] = []
        for name in try section.names("teachers", atMost: 1024) {
            paths.append(try file(name, "teachers", in: section))
        }
        return paths
    }
}
