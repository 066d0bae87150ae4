/// Why contributions are refused, in few words: a reason may hold figures and a worker's own text, and neither a metric's label
/// nor a table may grow with what workers write.
public enum RefusalKind: String, Sendable, Equatable, Codable, CaseIterable {
    /// The worker said that it cannot do the task.
    case declined
    /// Its bytes could not be fetched.
    case transfer
    /// It is based on another snapshot or mask than the round.
    case base
    /// Too large a norm.
    case norm
    /// Infinities, NaNs, or a loss that is none.
    case notFinite
    /// More bytes than such a result can have.
    case size
    /// Weighted by more samples than the worker has, or measured on more.
    case samples
    /// A result of another kind or width than the task's.
    case kind
    /// Bytes that are no update, or that do not fit the model.
    case malformed
    case other

    /// A later version's kind, in its report, is `other` here.
    public init(from decoder: any Decoder) throws {
        self = Self(rawValue: try decoder.singleValueContainer().decode(String.self)) ?? .other
    }

    /// The kind of a reason as the ledger holds it: reasons are ours, but for what follows their first words.
    public init(reason: String) {
        self = Self.marks.first { mark in mark.words.allSatisfy { reason.contains($0) } }?.kind ?? .other
        if reason.hasPrefix("declined: ") { self = .declined }
    }

    /// The first whose words all occur.
    private static let marks: [(words: [String], kind: RefusalKind)] = [
        (["its bytes could not be fetched"], .transfer),
        (["another snapshot"], .base), (["mask epoch"], .base),
        (["the update's norm"], .norm), (["folding takes"], .norm),
        (["not finite"], .notFinite), (["an infinity or a NaN"], .notFinite),
        (["the result declares", "bytes, more than"], .size), (["above the limit"], .size),
        (["the result is weighted by"], .samples), (["the result measured"], .samples),
        (["of the wrong kind"], .kind), (["of a model of width"], .kind), (["the blob is not"], .kind),
        (["the round takes metrics only"], .kind),
        (["votes on"], .malformed), (["not an update"], .malformed), (["of the update"], .malformed),
        (["the update"], .malformed), (["does not fit"], .malformed), (["convert it to float32"], .malformed),
    ]
}

/// What was refused in a run: how often for which kind of reason, and the last few in their own words.
public struct RefusalLog: Sendable, Equatable {
    /// One refusal, as its record tells it.
    public struct Entry: Sendable, Equatable, Codable {
        public var round: Int
        public var worker: String
        public var kind: RefusalKind
        public var reason: String
    }

    private var counts: [RefusalKind: Int] = [:]
    /// The newest last.
    public private(set) var newest: [Entry] = []
    public static let newestLimit = 20
    /// Longer reasons are cut: they may quote a worker.
    static let reasonLimit = 300

    /// Every kind that occurred and how often, in the order of the kinds.
    public var byKind: [(kind: RefusalKind, count: Int)] {
        RefusalKind.allCases.compactMap { kind in counts[kind].map { (kind, $0) } }
    }

    mutating func note(round: Int, worker: String, reason: String) {
        let kind = RefusalKind(reason: reason)
        counts[kind, default: 0] += 1
        // Scalars, not characters: one character may have any number of them.
        let start = String(String.UnicodeScalarView(reason.unicodeScalars.prefix(Self.reasonLimit)))
        newest.append(Entry(round: round, worker: worker, kind: kind, reason: start))
        if newest.count > Self.newestLimit { newest.removeFirst() }
    }
}
