import ArgumentParser
import Compression
import Federation
import ModelGraph
import Tensors

/// What `pleach model prune` is to take from a model.
enum PruneAmount: Equatable {
    /// Single weights become zero.
    case weights(sparsity: Double, pattern: WeightPattern)
    /// Channels or heads leave; nil stands for both kinds.
    case channels(ChannelAmount, kind: ChannelGroup.Kind?)
    /// This many residual blocks leave.
    case layers(Int)

    /// What is pruned as one.
    var unit: PrunedUnit {
        switch self {
        case .weights(_, let pattern): .weights(pattern)
        case .channels(_, let kind): .channels(kind)
        case .layers: .blocks
        }
    }

    /// What is to be left of a graph.
    func amount(of graph: Graph) throws -> PruningAmount {
        switch self {
        case .weights(let sparsity, _): return .sparsity(sparsity)
        case .channels(.channels(let share), _): return .keep(share)
        case .channels(.weights(let share), _): return .weights(share: share, of: graph)
        case .channels(.macs(let share), _): return try .macs(share: share, of: graph)
        case .channels(.bytes(let limit), _): return .bytes(limit)
        case .layers(let number):
            let all = try graph.residualBlocks().count
            guard number <= all else {
                throw ModelError.invalidRequest("--layers \(number): the model has \(all) residual blocks to remove")
            }
            return .remove(number)
        }
    }
}

/// How much to prune: one of these, but for a pattern, which may go with a sparsity.
struct PruneAmountOptions: ParsableArguments {
    @Option(help: "Share of the prunable weights to set to zero, 0 to 1.")
    var sparsity: Double?

    @Option(
        help: """
            Zeros in a pattern: N:M such as 2:4 keeps N of each M inputs; RxC such as 4x4 takes blocks of R outputs by C \
            inputs, for --sparsity.
            """)
    var pattern: String?

    @Option(help: "Share of the channels to remove, 0 to below 1; a tenth of each group stays.")
    var channels: Double?

    @Option(help: "Share of the attention heads to remove, 0 to below 1; a tenth of each group stays.")
    var heads: Double?

    @Option(help: "Number of residual blocks to remove.")
    var layers: Int?

    @Option(help: "Share of the multiply-accumulates that is left at most, by removing channels and heads.")
    var macs: Double?

    @Option(help: "Share of the weights that is left at most, by removing channels and heads.")
    var weights: Double?

    @Option(help: "Bytes of the float32 file that is left at most, such as 150KB, by removing channels and heads.")
    var bytes: String?

    func parsed() throws -> PruneAmount {
        let given = [
            ("--sparsity", sparsity != nil), ("--channels", channels != nil), ("--heads", heads != nil),
            ("--layers", layers != nil), ("--macs", macs != nil), ("--weights", weights != nil),
            ("--bytes", bytes != nil),
        ].filter(\.1).map(\.0)
        guard given.count <= 1 else { throw ValidationError("\(given[0]) and \(given[1]) exclude each other") }
        if let pattern { return try parsed(pattern: pattern, amount: given.first) }
        if let sparsity { return .weights(sparsity: try share(sparsity, "--sparsity"), pattern: .weight) }
        if let channels { return .channels(.channels(1 - (try share(channels, "--channels"))), kind: .channels) }
        if let heads { return .channels(.channels(1 - (try share(heads, "--heads"))), kind: .heads) }
        if let macs { return .channels(.macs(try left(macs, "--macs")), kind: nil) }
        if let weights { return .channels(.weights(try left(weights, "--weights")), kind: nil) }
        if let bytes {
            guard let count = PlanSize.bytes(bytes), count > 0 else {
                throw ValidationError("--bytes '\(bytes)' is not a size such as 65536, 150KB or 2MiB")
            }
            return .channels(.bytes(count), kind: nil)
        }
        if let layers {
            guard layers > 0 else { throw ValidationError("--layers must be at least 1") }
            return .layers(layers)
        }
        throw ValidationError(
            "say how much: one of --sparsity, --pattern, --channels, --heads, --layers, --macs, --weights, --bytes")
    }

    private func parsed(pattern text: String, amount: String?) throws -> PruneAmount {
        let refusal = ValidationError("--pattern '\(text)' is neither N:M such as 2:4 nor RxC such as 4x4")
        if let (kept, run) = Self.pair(text, separator: ":") {
            guard kept < run else { throw refusal }
            if let amount {
                throw ValidationError("\(amount) and --pattern \(text) exclude each other: the pattern says how much")
            }
            return .weights(sparsity: 1 - Double(kept) / Double(run), pattern: .nOfM(kept: kept, of: run))
        }
        guard let (rows, columns) = Self.pair(text, separator: "x") else { throw refusal }
        guard let sparsity else {
            throw ValidationError(
                amount.map { "\($0) and --pattern exclude each other: blocks go with --sparsity" }
                    ?? "--pattern \(text) needs --sparsity")
        }
        return .weights(sparsity: try share(sparsity, "--sparsity"), pattern: .block(rows: rows, columns: columns))
    }

    /// Two positive numbers.
    private static func pair(_ text: String, separator: Character) -> (Int, Int)? {
        let parts = text.split(separator: separator, omittingEmptySubsequences: false).map { Int($0) }
        guard parts.count == 2, let first = parts[0], let second = parts[1], first > 0, second > 0 else { return nil }
        return (first, second)
    }

    private func share(_ value: Double, _ option: String) throws -> Double {
        guard (0..<1).contains(value) else { throw ValidationError("\(option) must be at least 0 and below 1") }
        return value
    }

    private func left(_ value: Double, _ option: String) throws -> Double {
        guard value > 0, value <= 1 else { throw ValidationError("\(option) must be above 0 and at most 1") }
        return value
    }
}

/// One of an enumeration's words.
/// - Throws: `ValidationError` with the nearest word and all of them.
func parseChoice<Choice: RawRepresentable & CaseIterable>(_ text: String, _ option: String) throws -> Choice
where Choice.RawValue == String {
    if let choice = Choice(rawValue: text) { return choice }
    let words = Choice.allCases.map(\.rawValue)
    let hint = NearestName.hint(for: text, in: words)
    throw ValidationError("\(option) '\(text)' is unknown\(hint) (there are \(words.joined(separator: ", ")))")
}
