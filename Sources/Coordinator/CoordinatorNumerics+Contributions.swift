import Federation
import UpdateCodec

// What is asked of contributions before they count, and what they say together.

extension CoordinatorNumerics {
    /// Refuses what was made for another round.
    func check(_ reader: UpdateReader, _ kind: UpdateKind, _ facts: ContributionFacts) throws {
        guard reader.header.kind == kind, reader.newMasks == nil else {
            throw Refusal(reason: "the blob is not \(kind == .update ? "an update" : "\(kind)")")
        }
        guard reader.header.base == facts.base.bytes else {
            throw Refusal(reason: "the update is based on another snapshot than \(facts.base), its task's")
        }
        guard reader.header.maskEpoch == current.masks.epoch else {
            throw Refusal(
                reason: "the update has mask epoch \(reader.header.maskEpoch), the round \(current.masks.epoch)")
        }
    }

    /// Of all test shards together; nil where nothing was measured.
    static func accuracy(of contributions: [ContributionFacts]) -> Double? {
        let measured = contributions.reduce(0) { $0 + $1.submission.metrics.measured }
        let correct = contributions.reduce(0) { $0 + $1.submission.metrics.correct }
        return measured > 0 ? Double(correct) / Double(measured) : nil
    }

    /// What stale contributions count of what they would if they were fresh; 1 in synchronous rounds. FedBuff divides by
    /// the number of contributions, not by the sum of their staleness weights, so a stale buffer moves the model less.
    static func staleShare(of contributions: [ContributionFacts]) -> Float {
        let weight = contributions.reduce(0) { $0 + Int($1.weight) }
        let full = contributions.reduce(0) { $0 + Int($1.fullWeight) }
        return full > 0 ? Float(Double(weight) / Double(full)) : 1
    }
}
