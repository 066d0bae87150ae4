import UpdateCodec

extension PlanReader {
    func fleet(in top: PlanSection) throws(PlanError) -> FleetRules {
        let section =
            try top.section("fleet", place: "fleet", keys: PlanKeys.fleet)
            ?? .absent(path: path, place: "fleet", line: top.line, keys: PlanKeys.fleet)
        let day: Double = 86_400
        let workers = try section.integer("workers", 1...1024, default: 2)
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
            threads: try section.integer("threads", 1...256, default: 1))
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
        // One lost heartbeat must not cost a lease.
        guard fleet.heartbeatSeconds * 2 <= lease else {
            throw section.error(
                section.has("heartbeat") ? "heartbeat" : "lease",
                "'heartbeat' in fleet (\(PlanDuration.plain(fleet.heartbeatSeconds)) s) must be at most half of "
                    + "'lease' (\(PlanDuration.plain(lease)) s)")
        }
        return fleet
    }

    func wire(in top: PlanSection) throws(PlanError) -> WireRules {
        guard let section = try top.section("wire", place: "wire", keys: PlanKeys.wire) else { return WireRules() }
        return WireRules(
            up: try scheme("up", in: section),
            down: try scheme("down", in: section),
            maximumNormRatio: try section.number("maximumNormRatio", .above(0, upTo: 1_000_000), default: 10))
    }

    private func scheme(_ key: String, in wire: PlanSection) throws(PlanError) -> WireScheme {
        guard let section = try wire.section(key, place: "wire.\(key)", keys: PlanKeys.direction) else {
            return WireScheme()
        }
        let formats = Choices(
            known: ValueFormat.allCases.map { (String(describing: $0), $0) }, toCome: PlanWordsToCome.values)
        let roundings = Choices(known: Rounding.allCases.map { (String(describing: $0), $0) })
        let density = try section.number("density", .above(0, upTo: 1), default: 1)
        let values = try section.choice("values", formats, default: .int8)
        return WireScheme(
            selection: density == 1 ? .dense : .topK(density: density),
            values: values,
            blockSize: try section.integer("block", 1...65536, default: 256),
            rounding: try section.choice("rounding", roundings, default: .nearest),
            smallTensorElements: try section.integer("smallElements", 0...16_777_216, default: 1024),
            // Who asks for float32 wants nothing lost.
            smallValues: try section.choice("small", formats, default: values == .float32 ? .float32 : .float16),
            errorFeedback: try section.boolean("errorFeedback", default: true))
    }
}
