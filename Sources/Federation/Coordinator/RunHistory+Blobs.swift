// Which blobs a run still needs, and which it needs no more.

extension RunHistory {
    /// Blobs that nothing needs any more once `record` (already applied) is in the ledger: contributions of a closed or
    /// refusing round, the snapshot, residual, compact file and explanation that were replaced, and at the end of a stage what
    /// was measured for it. Ends of stages and the first snapshot stay.
    public func blobsMadeObsolete(by record: LedgerRecord, contributions: [ContributionFacts]) -> [Digest] {
        guard case .stepFinished(_, _, _, let published, _, _) = record else { return [] }
        var obsolete = retired + contributions.compactMap { $0.submission.blob?.digest }
        if published != nil { obsolete += snapshotsMadeObsolete() }
        // Equal bytes have equal names: what is named elsewhere stays.
        let needed = namedBlobs
        return obsolete.filter { !needed.contains($0) }
    }

    private func snapshotsMadeObsolete() -> [Digest] {
        var obsolete: [Digest] = []
        let kept = CoordinatorMachine.versionsToKeep(self)
        // The one before may have been kept for the corrections of the round that ended.
        for replaced in snapshots.dropLast().suffix(2) {
            if !kept.contains(replaced.version) { obsolete.append(replaced.snapshot.digest) }
            obsolete += replaced.working
        }
        return obsolete
    }

    /// What narrower models have not: small, and kept to the end as structure changes are.
    public var widthChanges: [Digest] { nestings.flatMap { $0.widths.map(\.change.digest) } }

    /// Every blob that the run still needs: kept snapshots, graphs, deltas, the residual, teachers, the compact model,
    /// and the contributions of the open round.
    public var namedBlobs: Set<Digest> {
        var digests = Set(snapshots.flatMap { [$0.graph.digest, $0.delta?.blob.digest].compactMap { $0 } })
        guard !snapshots.isEmpty else { return digests }
        for version in CoordinatorMachine.versionsToKeep(self) { digests.insert(snapshots[version].snapshot.digest) }
        digests.formUnion(snapshot?.working ?? [])
        for digest in [compact?.digest, quantization?.explanation?.digest] {
            if let digest { digests.insert(digest) }
        }
        digests.formUnion(evidence.digests)
        digests.formUnion(teachers.values.map(\.digest))
        digests.formUnion(widthChanges)
        if let consensus { digests.insert(consensus.blob.digest) }
        digests.formUnion(openRound?.accepted.compactMap { $0.submission.blob?.digest } ?? [])
        return digests
    }
}
