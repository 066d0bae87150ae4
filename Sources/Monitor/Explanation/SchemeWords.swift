import UpdateCodec

/// How one direction compresses, in a clause.
struct SchemeWords {
    let text: String

    init(_ scheme: WireScheme) {
        var parts: [String] = []
        if let budget = scheme.budget {
            parts.append(
                "at most \(Figures.bytes(budget)) an update; the encoder chooses density and format of each tensor for least error"
            )
        } else {
            parts.append(Self.selection(scheme.selection) + " as \(Self.word(scheme.values))")
            if scheme.values.codebookSize > 0 {
                parts.append(
                    scheme.levels == .kMeans
                        ? "levels fitted to each tensor" : "levels at quantiles of the normal distribution")
            }
            if scheme.rotates { parts.append("rotated at random first, against outliers") }
            parts.append(
                "tensors of at most \(Figures.count(scheme.smallTensorElements)) alive elements whole, as \(Self.word(scheme.smallValues))"
            )
        }
        parts.append("a scale for every \(Figures.count(scheme.blockSize)) values")
        parts.append(scheme.rounding == .nearest ? "rounded to nearest" : "rounded at random without bias")
        switch scheme.coding {
        case .automatic: break
        case .smallest: parts.append("entropy-coded wherever that saves a byte")
        case .plain: parts.append("not entropy-coded")
        }
        if let norm = scheme.clipNorm { parts.append("clipped to a norm of \(Figures.number(norm))") }
        if scheme.momentum > 0 {
            parts.append("momentum \(Figures.number(scheme.momentum)) for what is not sent")
        }
        parts.append(
            scheme.errorFeedback ? "what is left out is kept and added to the next one" : "what is left out is lost")
        text = parts.joined(separator: ", ")
    }

    private static func selection(_ selection: Selection) -> String {
        switch selection {
        case .dense: return "all alive elements"
        case .topK(let density, let method):
            let how =
                switch method {
                case .exact: ""
                case .threshold: " (by a threshold from a sample)"
                case .block: " (in each block of 4,096)"
                }
            return "the largest \(Figures.percent(density)) of each tensor's alive elements\(how)"
        }
    }

    private static func word(_ format: ValueFormat) -> String { String(describing: format) }
}
