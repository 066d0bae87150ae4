import UpdateCodec

// `wire`: a scheme for each direction. A byte budget lets the encoder choose density and format of every tensor, so the
// keys that would choose them are refused beside it.

extension PlanReader {
    func wire(in top: PlanSection) throws(PlanError) -> WireRules {
        guard let section = try top.section("wire", place: "wire", keys: PlanKeys.wire) else { return WireRules() }
        let budget = try ByteBudget(in: section)
        return WireRules(
            up: try scheme("up", in: section, budget: budget),
            down: try scheme("down", in: section, budget: budget),
            maximumNormRatio: try section.number("maximumNormRatio", .above(0, upTo: 1_000_000), default: 10))
    }

    /// - Parameter budget: of `wire`, for directions that say nothing else.
    private func scheme(_ key: String, in wire: PlanSection, budget: ByteBudget?) throws(PlanError) -> WireScheme {
        let place = "wire.\(key)"
        let section =
            try wire.section(key, place: place, keys: PlanKeys.direction)
            ?? .absent(path: path, place: place, line: wire.line, keys: PlanKeys.direction)
        let direction = DirectionReader(section: section, isUp: key == "up")
        let choosesItself = section.has("density") || section.has("values")
        let own = try ByteBudget(in: section, inheriting: choosesItself ? nil : budget)
        var scheme: WireScheme
        if let budget = own ?? (choosesItself ? nil : budget) {
            scheme = try direction.budgeted(budget, isOwn: own != nil)
        } else {
            scheme = try direction.chosen()
        }
        try direction.readCommon(into: &scheme)
        return scheme
    }
}

/// How many bytes an update may take: said as such, or as what a line carries in a while.
private struct ByteBudget {
    static let range = 1000...4 << 30

    /// The key that says it.
    let key: String
    let bytes: Int
    /// Of a line: bytes per second, and the seconds an update may take.
    private let line: (bandwidth: Int, transferSeconds: Double)?

    /// What a section says for itself; nil when it says nothing.
    /// - Parameter inherited: completes a bandwidth of which a section gives only one part.
    init?(in section: PlanSection, inheriting inherited: ByteBudget? = nil) throws(PlanError) {
        guard !(section.has("budget") && section.has("bandwidth")) else {
            throw section.error(
                "bandwidth", "'budget' and 'bandwidth' in \(section.place) exclude each other; keep one")
        }
        if let bytes = try section.size("budget", Self.range) {
            guard !section.has("transfer") else { throw Self.needsBandwidth(section) }
            (key, self.bytes, line) = ("budget", bytes, nil)
            return
        }
        let isWritten = section.has("bandwidth") || section.has("transfer")
        let rate = try section.rate("bandwidth", 1000...1_000_000_000_000) ?? inherited?.line?.bandwidth
        let seconds = try section.duration(
            "transfer", .from(0.001, upTo: 86_400), default: inherited?.line?.transferSeconds ?? 1)
        guard isWritten else { return nil }
        guard let rate else { throw Self.needsBandwidth(section) }
        // At most 1e12 times 86,400: exact enough, and far from overflow.
        let bytes = Int((Double(rate) * seconds).rounded())
        guard Self.range.contains(bytes) else {
            throw section.error(
                section.has("bandwidth") ? "bandwidth" : "transfer",
                "'bandwidth' times 'transfer' in \(section.place) is \(PlanSize.plain(bytes)); an update takes from "
                    + "\(PlanSize.plain(Self.range.lowerBound)) to \(PlanSize.plain(Self.range.upperBound)), "
                    + "change either")
        }
        (key, self.bytes, line) = ("bandwidth", bytes, (rate, seconds))
    }

    private static func needsBandwidth(_ section: PlanSection) -> PlanError {
        section.error("transfer", "'transfer' in \(section.place) needs bandwidth, such as bandwidth: 1MB/s")
    }
}

/// Reads `wire.up` or `wire.down`.
private struct DirectionReader {
    let section: PlanSection
    let isUp: Bool

    private var place: String { section.place }

    /// With a budget, density and formats are the encoder's to choose.
    func budgeted(_ budget: ByteBudget, isOwn: Bool) throws(PlanError) -> WireScheme {
        for key in ["density", "selection", "values", "levels", "rotate", "small", "smallElements"]
        where section.has(key) {
            throw section.error(
                key,
                isOwn
                    ? "'\(key)' and '\(budget.key)' in \(place) exclude each other: a budget chooses for each tensor; "
                        + "keep one"
                    : "'\(key)' in \(place) and '\(budget.key)' in wire exclude each other: a budget chooses for each "
                        + "tensor; keep one, or write 'values' too to do without the budget")
        }
        return WireScheme(blockSize: try block(for: .int8), budget: budget.bytes)
    }

    /// Density and formats as they are written.
    func chosen() throws(PlanError) -> WireScheme {
        let density = try section.number("density", .above(0, upTo: 1), default: 1)
        let method = try section.choice("selection", .named(SelectionMethod.self), default: .exact)
        guard density < 1 || !section.has("selection") else {
            throw section.error("selection", "'selection' in \(place) needs a density below 1, such as density: 0.05")
        }
        let formats = Choices.named(ValueFormat.self)
        let values = try section.choice("values", formats, default: .int8)
        // Who asks for float32 wants nothing lost.
        let small = try section.choice("small", formats, default: values == .float32 ? .float32 : .float16)
        let levels = try section.choice("levels", .named(CodebookLevels.self), default: .normalFloat)
        guard !section.has("levels") || values.codebookSize > 0 || small.codebookSize > 0 else {
            throw section.error("levels", "'levels' in \(place) needs values: codebook16 or codebook256")
        }
        let rotates = try section.boolean("rotate", default: false)
        guard !rotates || values.takesRotation || small.takesRotation else {
            let words = ValueFormat.allCases.filter(\.takesRotation).map { String(describing: $0) }
            throw section.error("rotate", "'rotate' in \(place) needs values: one of \(words.joined(separator: ", "))")
        }
        return WireScheme(
            selection: density == 1 ? .dense : .topK(density: density, method: method),
            values: values,
            blockSize: try block(for: values),
            levels: levels,
            rotates: rotates,
            smallTensorElements: try section.integer("smallElements", 0...16_777_216, default: 1024),
            smallValues: small)
    }

    /// One magnitude serves many signs.
    private func block(for values: ValueFormat) throws(PlanError) -> Int {
        try section.integer("block", 1...65536, default: values == .ternary || values == .sign ? 1024 : 256)
    }

    /// What counts with a budget and without.
    func readCommon(into scheme: inout WireScheme) throws(PlanError) {
        scheme.rounding = try section.choice("rounding", .named(Rounding.self), default: .nearest)
        scheme.scaling = try section.choice("scale", .named(Scaling.self), default: .automatic)
        scheme.coding = try section.choice("coding", .named(Coding.self), default: .automatic)
        scheme.errorFeedback = try section.boolean("errorFeedback", default: true)
        for key in ["momentum", "clip"] where !isUp && section.has(key) {
            throw section.error(key, "'\(key)' in \(place) is for the updates of workers; write it in wire.up")
        }
        scheme.momentum = try section.number("momentum", .from(0, below: 1), default: 0)
        scheme.clipNorm = try section.number("clip", .above(0, upTo: 1_000_000_000))
        guard scheme.momentum > 0 else { return }
        guard scheme.errorFeedback else {
            throw section.error("momentum", "'momentum' in \(place) needs errorFeedback: true")
        }
        guard scheme.budget != nil || scheme.selection != .dense else {
            throw section.error(
                "momentum", "'momentum' in \(place) needs a density below 1 or a budget: it moves what is not sent")
        }
    }
}
