// Reads a `quantize` stage. What cannot go together is refused in `PlanQuantizing+Checks.swift`.

extension PlanReader {
    /// - Parameter export: what the file is for.
    func quantize(
        in section: PlanSection, number: Int, _ export: ExportPlan
    ) throws(PlanError) -> QuantizePlan {
        let (recipe, server) = try training(in: section)
        let plan = QuantizePlan(
            rules: try rules(in: section, export),
            samples: try section.integer("samples", 1...1_000_000_000, default: 1024),
            sensitivitySamples: try section.integer("sensitivitySamples", 1...1_000_000_000, default: 256),
            comparedSamples: try section.integer("comparedSamples", 0...1_000_000_000, default: 256),
            rounds: try section.integer("rounds", 0...100_000, default: 0), recipe: recipe, server: server,
            teacher: try optionalTeacher(in: section, number: number, recipe),
            frozenStatistics: try section.number("frozenStatistics", .from(0, upTo: 1), default: 0.5),
            reestimates: try section.boolean("reestimate", default: false),
            maximumDrop: try section.number("maximumDrop", .above(0, upTo: 100)))
        try QuantizeChecks(plan: plan, section: section).run()
        return plan
    }

    private func rules(in section: PlanSection, _ export: ExportPlan) throws(PlanError) -> QuantizeRules {
        let scope = QuantizationScope(
            target: export.target, equalizes: try section.boolean("equalize", default: false),
            excluded: try section.names("exclude"))
        let standard = QuantizeRules(scope: scope, weights: try weightRules(in: section))
        return QuantizeRules(
            scope: scope, weights: standard.weights, amount: try amount(in: section),
            candidates: try candidates(in: section)
                ?? standard.candidates.filter { $0 < standard.mostBits } + [standard.mostBits],
            rounding: try section.choice("rounding", Choices(RoundingKind.self), default: .nearest),
            correctsBiases: try section.boolean("correctBiases", default: true),
            method: try section.choice("calibration", Choices(CalibrationMethodKind.self), default: .percentile),
            percentile: try section.number("percentile", .from(50, upTo: 100), default: standard.percentile),
            opset: export.opset, packs: try section.boolean("packed", default: true))
    }

    private func weightRules(in section: PlanSection) throws(PlanError) -> WeightRules {
        WeightRules(
            bits: try section.integer("bits", 2...8),
            levels: try section.choice("levels", .named(LevelsKind.self), default: .uniform),
            sharing: try sharing(in: section), range: try section.choice("range", .named(WeightRangeKind.self)),
            isSymmetric: try section.boolean("symmetric", default: true),
            hasPowerOfTwoScales: try section.boolean("powerOfTwo", default: false))
    }

    private func sharing(in section: PlanSection) throws(PlanError) -> ScaleSharing? {
        let block = try section.integer("block", 16...65_536)
        let sharing = try section.choice("scales", Self.scales(block: block ?? 32))
        guard let block else { return sharing }
        guard case .block? = sharing else {
            throw section.error("block", "'block' in \(section.place) needs scales: block")
        }
        guard block & (block - 1) == 0 else {
            throw section.error("block", "'block' in \(section.place) must be a power of two, found \(block)")
        }
        return sharing
    }

    private static func scales(block: Int) -> Choices<ScaleSharing> {
        Choices(known: [("tensor", .tensor), ("channel", .channel), ("block", .block(block))])
    }

    private func amount(in section: PlanSection) throws(PlanError) -> BitAmount {
        let written = PlanKeys.bitAmounts.filter(section.has)
        guard written.count <= 1 else {
            let names = written.map { "'\($0)'" }.joined(separator: " and ")
            throw section.error(written[1], "\(names) in \(section.place) exclude each other; keep one")
        }
        switch written.first {
        case "averageBits": return .averageBits(try section.number("averageBits", .from(2, upTo: 8), default: 8))
        case "bytes": return .bytes(try section.size("bytes", 1024...(4 << 30), default: 1024))
        case "bitOperations":
            return .bitOperations(try section.number("bitOperations", .above(0, upTo: 1e18), default: 1))
        case "milliseconds":
            return .milliseconds(try section.number("milliseconds", .above(0, upTo: 1_000_000), default: 1))
        default: return .same
        }
    }

    private func candidates(in section: PlanSection) throws(PlanError) -> [Int]? {
        let counts = Array(2...7)
        let meaning = "a list of 2 to 7 numbers of bits"
        guard let candidates = try section.integers("candidates", 2...8, counts: counts, meaning: meaning) else {
            return nil
        }
        guard zip(candidates, candidates.dropFirst()).allSatisfy({ $0 < $1 }) else {
            throw section.error(
                "candidates", "'candidates' in \(section.place) must rise, such as [2, 3, 4, 6, 8]")
        }
        return candidates
    }
}
