import Tensors

// A part of the training split that is held back: samples that everybody may see (a public set), and what is left for the
// private shards.

extension DataSpec {
    /// The two sides of a holdout: together they are the training split, and they share no sample.
    public enum HoldoutPart: String, Sendable, CaseIterable {
        /// All but the samples held back; these are dealt to shards.
        case `private`
        /// The samples held back.
        case `public`
    }

    /// - Throws: `DataError.invalidOption`.
    func checkHoldout(given: Set<String>, spec: String) throws(DataError) {
        if given.contains("part"), holdout == nil {
            throw .invalidOption(
                spec: spec, option: "part", value: part.rawValue, needed: "holdout=N, the number of samples held back")
        }
        if part == .public, split == .test {
            throw .invalidOption(
                spec: spec, option: "part", value: part.rawValue,
                needed: "split=train: samples are held back of the training split")
        }
    }
}

extension DataSource {
    /// The rows on the SPEC's side of its holdout, ascending; all of them without one and in the test split.
    ///
    /// Which samples are held back follows from how many there are and how many are asked for, never from the SPEC's seed: so a
    /// private SPEC and a public one share no sample even where their seeds differ.
    /// - Throws: `DataError.invalidOption` where nothing would be left.
    static func rows(_ rows: [Int], onSideOf spec: DataSpec) throws(DataError) -> [Int] {
        guard let holdout = spec.holdout, spec.split != .test else { return rows }
        guard holdout < rows.count else {
            throw .invalidOption(
                spec: spec.description, option: "holdout", value: "\(holdout)",
                needed: "fewer than the \(rows.count) samples there are")
        }
        let order = Dataset.shuffledOrder(count: rows.count, seed: 0x0b1c_5e75)
        let chosen = spec.part == .public ? order.prefix(holdout) : order.dropFirst(holdout)
        return chosen.sorted().map { rows[$0] }
    }
}
