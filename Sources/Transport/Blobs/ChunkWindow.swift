/// Chunks that are on their way over all transfers of one direction, kept below a total.
///
/// A holder (a fetch, or a peer that is sent to) may have one chunk while any is free, and a further one only while it
/// holds fewer than are free: whoever comes new finds something left, and nobody is crowded out by the quick ones
/// (dynamic thresholds: Choudhury and Hahne 1998). The owner asks its transfers in turn.
///
/// The chunks of a holder that has not moved for some seconds can be *lent*: they no longer count, so that others go on,
/// and it gets no more before it has shown that it lives. They have the same total as a bound of their own, so that
/// never more than twice the total is on its way.
struct ChunkWindow<Holder: Hashable> {
    private struct Share {
        var held = 0
        var lent = 0
        var isStalled = false
        /// When the holder last took its first chunk or gave one back.
        var movedAtSeconds: Double
    }

    let total: Int
    /// Chunks that count, and those lent.
    private(set) var held = 0
    private(set) var lent = 0
    private var shares: [Holder: Share] = [:]

    init(total: Int) { self.total = total }

    var isEmpty: Bool { shares.isEmpty }
    var isFull: Bool { held >= total }

    func lent(by holder: Holder) -> Int { shares[holder]?.lent ?? 0 }

    /// The holder whose chunks were lent is there after all.
    mutating func revive(_ holder: Holder) { shares[holder]?.isStalled = false }

    /// Whether the holder may have one more chunk.
    func mayTake(_ holder: Holder) -> Bool {
        guard held < total else { return false }
        guard let share = shares[holder] else { return true }
        return !share.isStalled && (share.held == 0 || share.held < total - held)
    }

    mutating func take(_ holder: Holder, at now: Double) {
        precondition(mayTake(holder), "a chunk beyond the window of \(total)")
        var share = shares[holder] ?? Share(movedAtSeconds: now)
        if share.held == 0 { share.movedAtSeconds = now }
        share.held += 1
        held += 1
        shares[holder] = share
    }

    /// Chunks have arrived, or are known to be taken; the lent ones are older and come first.
    mutating func giveBack(_ count: Int, by holder: Holder, at now: Double) {
        guard count > 0, var share = shares[holder] else { return }
        precondition(count <= share.held + share.lent, "\(count) chunks given back of \(share.held + share.lent)")
        let fromLent = min(count, share.lent)
        share.lent -= fromLent
        lent -= fromLent
        share.held -= count - fromLent
        held -= count - fromLent
        share.movedAtSeconds = now
        share.isStalled = false
        shares[holder] = share.held + share.lent > 0 ? share : nil
    }

    /// Nothing of the holder's is on its way any more.
    mutating func release(_ holder: Holder) {
        guard let share = shares.removeValue(forKey: holder) else { return }
        held -= share.held
        lent -= share.lent
    }

    /// Lends the chunks of holders that have not moved since `limit`, as far as the bound on lent ones allows.
    /// - Parameter precedes: the order in which they are asked, so that the same history gives the same result.
    mutating func lend(notMovedSince limit: Double, in precedes: (Holder, Holder) -> Bool) {
        let stalled = shares.filter { $0.value.held > 0 && $0.value.movedAtSeconds <= limit }.keys
        for holder in stalled.sorted(by: precedes) {
            guard var share = shares[holder], lent + share.held <= total else { continue }
            held -= share.held
            lent += share.held
            share.lent += share.held
            share.held = 0
            share.isStalled = true
            shares[holder] = share
        }
    }

    /// Holders that have not moved since `limit`, in no order.
    func holders(notMovedSince limit: Double) -> [Holder] {
        shares.filter { $0.value.movedAtSeconds <= limit }.map(\.key)
    }

    mutating func removeAll() {
        shares = [:]
        held = 0
        lent = 0
    }
}
