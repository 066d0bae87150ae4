// Reads a `factorize` stage.

extension PlanReader {
    func factorize(in section: PlanSection, number: Int) throws(PlanError) -> FactorizePlan {
        let amount = try rankAmount(in: section)
        let isBudget = section.has("budget")
        guard isBudget || !section.has("of") else {
            throw section.error("of", "'of' in \(section.place) says what a 'budget' is a share of: give one")
        }
        let selection = FactorizableSelection(
            method: try section.choice("method", .named(FactorizationMethodKind.self), default: .auto),
            only: try section.names("only"), excluded: try section.names("exclude"))
        let (recipe, server) = try training(in: section)
        return FactorizePlan(
            rules: FactorizeRules(
                amount: amount, scope: try section.choice("of", Choices(RankScope.self), default: .model),
                multiple: try section.integer("multiple", 1...4096, default: 8), selection: selection),
            samples: try section.integer("samples", 0...1_000_000_000, default: 1024),
            rounds: try section.integer("rounds", 0...100_000, default: 5), recipe: recipe, server: server,
            teacher: try optionalTeacher(in: section, number: number, recipe))
    }

    private func rankAmount(in section: PlanSection) throws(PlanError) -> RankAmount {
        let place = "budget of \(section.place)"
        let budget = try section.section("budget", place: place, keys: PlanKeys.rankBudget)
        let isByNoise = try section.boolean("evbmf", default: false)
        let written = ["energy", "budget"].filter(section.has) + (isByNoise ? ["evbmf"] : [])
        guard written.count == 1 else {
            let found = written.isEmpty ? "found none" : "found \(written.joined(separator: " and "))"
            throw section.error(
                written.last ?? "energy",
                "\(section.place) needs exactly one of energy, evbmf: true and budget; \(found)")
        }
        guard let budget else {
            guard !isByNoise else { return .evbmf }
            return .energy(try section.number("energy", .above(0, upTo: 1), default: 1))
        }
        let shares = PlanKeys.rankBudget.filter(budget.has)
        guard shares.count == 1, let key = shares.first else {
            throw section.error(
                "budget", "\(place) needs exactly one of \(PlanKeys.rankBudget.joined(separator: ", "))")
        }
        let share = try budget.number(key, .above(0, below: 1), default: 0.5)
        return key == "parameters" ? .parameters(share) : .macs(share)
    }
}
