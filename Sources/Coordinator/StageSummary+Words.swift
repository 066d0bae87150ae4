import Federation

// What came of a stage, as reports tell it.

extension StageSummary {
    /// A sentence for each thing that rounds and figures do not say.
    var words: [String] {
        var words: [String] = []
        if masks > 0 { words.append(masks == 1 ? "1 mask was decided" : "\(masks) masks were decided") }
        if let units { words.append("\(units.removed) of \(units.before) units were removed from the model") }
        if rewinds > 0 { words.append("weights were put back to earlier values \(times(rewinds))") }
        if let factorization { words += factorization.words }
        if compactFiles > 1 {
            words.append(
                "the file cost too much accuracy and was made again, with more bits, \(times(compactFiles - 1))")
        }
        if let quantization, !quantization.givenUp.isEmpty {
            words.append("bits were given up for the accuracy: \(firstFew(quantization.givenUp))")
        }
        return words
    }
}

extension FactorizationFacts {
    fileprivate var words: [String] {
        guard layers > 0 else { return ["no layer was factorized: nothing would have been saved"] }
        var words = ["\(layers) layers became products of smaller ones, \(dataAware) of them weighed by data"]
        words.append("ranks: \(firstFew(ranks))")
        if !masked.isEmpty { words.append("stay because of masks: \(firstFew(masked))") }
        return words
    }
}

private func times(_ count: Int) -> String { count == 1 ? "once" : count == 2 ? "twice" : "\(count) times" }

/// The first few of many.
private func firstFew(_ names: [String]) -> String {
    names.prefix(8).joined(separator: ", ") + (names.count > 8 ? " and \(names.count - 8) more" : "")
}
