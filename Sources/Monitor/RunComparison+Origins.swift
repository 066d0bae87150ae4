import Federation

// What two runs follow from: whether they are like and like, and what their plans say differently.

extension RunComparison {
    /// One line for people: whether figures of the two say something about their plans.
    public var verdict: String {
        let untold = [(nameA, a), (nameB, b)].filter { $0.1.origin == nil }.map(\.0)
        guard untold.isEmpty else {
            return "whether both runs have the same data, model and seed is not known: "
                + "\(untold.joined(separator: " and ")) \(untold.count == 1 ? "does" : "do") not say"
                + (differences.isEmpty ? "" : "; " + differences.joined(separator: "; "))
        }
        return differences.isEmpty
            ? "comparable: the same data, model and seed" : "not like and like: " + differences.joined(separator: "; ")
    }

    public var isComparable: Bool { differences.isEmpty && a.origin != nil && b.origin != nil }

    static func differences(_ a: Report, _ b: Report) -> [String] {
        var found: [String] = []
        if let before = a.parametersBefore, let other = b.parametersBefore, before != other {
            found.append("another model (\(Figures.count(before)) and \(Figures.count(other)) parameters)")
        }
        if let first = a.origin, let second = b.origin { found += differences(first, second, hasModel: !found.isEmpty) }
        for (name, report) in [("A", a), ("B", b)] where report.state.map({ $0 != "finished" }) ?? false {
            found.append("\(name) has not finished")
        }
        return found
    }

    private static func differences(_ a: Report.Origin, _ b: Report.Origin, hasModel: Bool) -> [String] {
        var found: [String] = []
        if a.data != b.data {
            let (first, second) = ReportWords.apart(a.data ?? "each worker's own", b.data ?? "each worker's own")
            found.append("other data (\(first) and \(second))")
        } else if a.data == nil {
            found.append("whether the data are the same is not known, because workers brought their own")
        }
        if !hasModel {
            if a.model != b.model || a.sampleShape != b.sampleShape || a.classes != b.classes {
                found.append("another model (\(a.model) and \(b.model))")
            } else if a.seed == b.seed, let first = a.openingSnapshot, let second = b.openingSnapshot, first != second {
                found.append("another model (its first weights differ)")
            }
        }
        if a.seed != b.seed { found.append("another seed (\(a.seed) and \(b.seed))") }
        return found
    }

    /// Settings that differ which are told.
    static let settingLimit = 500

    static func settings(_ a: Report.Origin?, _ b: Report.Origin?) -> ([Setting], String?) {
        guard let first = a?.planText, let second = b?.planText else {
            if let first = a?.planDigest, first == b?.planDigest { return ([], nil) }
            return ([], "the plans' settings are not compared: not both reports hold the plan's text")
        }
        guard let left = try? PlanSettings.list(first), let right = try? PlanSettings.list(second) else {
            return ([], "the plans' settings are not compared: a plan's text cannot be read")
        }
        let values = Dictionary(left.map { ($0.key, $0.value) }, uniquingKeysWith: { first, _ in first })
        let others = Dictionary(right.map { ($0.key, $0.value) }, uniquingKeysWith: { first, _ in first })
        let keys = left.map(\.key) + right.map(\.key).filter { values[$0] == nil }
        let found = keys.filter { values[$0] != others[$0] }
        let remark = found.count > settingLimit ? "\(found.count - settingLimit) more settings differ" : nil
        return (found.prefix(settingLimit).map { Setting(key: $0, a: values[$0], b: others[$0]) }, remark)
    }
}
