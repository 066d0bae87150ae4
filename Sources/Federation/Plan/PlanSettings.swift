import Yams

/// A plan's text as single settings, for whoever compares two plans.
public enum PlanSettings {
    /// What stands at one place of a plan.
    public struct Setting: Sendable, Equatable {
        /// `fleet.workers`, `stages[2].prune.sparsity` (stages counted from 1).
        public var key: String
        public var value: String
    }

    /// Settings that are listed at most: a plan has at most 1,000 stages.
    public static let limit = 20_000

    /// Every value that a plan's author wrote, in the text's order. What was left to its default is not among them.
    /// - Throws: `PlanError` for what is no YAML; the keys need not be those of a plan.
    public static func list(_ text: String) throws(PlanError) -> [Setting] {
        var settings: [Setting] = []
        collect(try PlanSyntax.compose(text, path: "the plan"), "", 0, &settings)
        return settings
    }

    private static func collect(_ node: Node, _ place: String, _ depth: Int, _ settings: inout [Setting]) {
        guard settings.count < limit, depth < 64 else { return }
        func add(_ value: String) { settings.append(Setting(key: place, value: value)) }
        switch node {
        case .scalar(let scalar): add(scalar.string)
        case .alias: add("*")
        case .mapping(let mapping):
            if mapping.isEmpty { add("{}") }
            for (key, value) in mapping {
                let name = key.string ?? "?"
                collect(value, place.isEmpty ? name : "\(place).\(name)", depth + 1, &settings)
            }
        case .sequence(let sequence):
            if sequence.allSatisfy({ $0.scalar != nil }) {
                // A list of words is one setting, but stages are one each.
                guard place == "stages" else { return add(sequence.map { $0.string ?? "?" }.joined(separator: ", ")) }
            }
            for (index, value) in sequence.enumerated() {
                collect(value, "\(place)[\(index + 1)]", depth + 1, &settings)
            }
        }
    }
}
