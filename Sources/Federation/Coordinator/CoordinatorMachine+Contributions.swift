import Foundation
import Tensors

// Contributions: from a worker's offer of its result to the ledger, and what may stop one on the way.

extension CoordinatorMachine {
    /// Snapshots by which a task of this round is behind, if its result still counts in the open (or next) round.
    func staleness(of round: Int) -> Int? {
        guard let open = history.openRound, let step = history.step, let current = history.snapshot else { return nil }
        if round == open.number { return 0 }
        guard isAsynchronous(step), round >= 0, round < open.number else { return nil }
        let base = history.roundBases[round]
        // Within a stage, training rounds with the same mask differ in nothing but their snapshot.
        guard base.stage == open.stage, history.snapshots[base.version].maskEpoch == current.maskEpoch else {
            return nil
        }
        let behind = current.version - base.version
        return behind <= plan.fleet.maximumStaleness ? behind : nil
    }

    func isCountable(_ round: Int) -> Bool {
        switch phase {
        case .collecting: staleness(of: round) != nil
        case .computing: history.step.map(isAsynchronous) == true && staleness(of: round) != nil
        case .starting, .exporting, .lingering, .ended: false
        }
    }

    mutating func onSubmission(
        _ submission: Submission, session: SessionID, worker: String, at now: Double
    ) -> [CoordinatorAction] {
        let round = submission.round
        func refuse(_ reason: String) -> [CoordinatorAction] {
            [.send(.verdict(round: round, accepted: false, reason: reason), session)]
        }
        // A result that was settled before (the verdict was lost): repeat the verdict.
        if round < (history.acceptedRounds[worker] ?? 0) {
            let wasAccepted = history.acceptedRounds[worker] == round + 1
            let reason = wasAccepted ? "" : "superseded by a later round"
            return [.send(.verdict(round: round, accepted: wasAccepted, reason: reason), session)]
        }
        guard isCountable(round), let step = history.step else { return refuse("round \(round) is not open") }
        // With a later offer the worker has dropped this result, and the residual that belongs to it.
        guard round >= offeredRounds[worker, default: 0] else { return refuse("superseded by a later task") }
        if let lease = leases[worker] {
            // The same again: it is being fetched or examined.
            guard lease.round == round else { return refuse("superseded by a later task") }
            guard lease.progress == .working else { return [] }
        } else {
            // A worker that finished while we were away has no lease in this process; its result is as good as any.
            guard mayClaim(round, worker: worker, at: now) else {
                return refuse(setbacks[worker]?.reason ?? "the round has enough workers")
            }
            leases[worker] = Lease(session: session, round: round, at: now)
        }
        leases[worker]?.session = session
        leases[worker]?.renewedAt = now
        leases[worker]?.submittedAt = now
        leases[worker]?.arrivedAt = now
        sessions[session]?.ready = nil
        lastProgressAt = now
        if let reason = objection(to: submission, step: step, hello: sessions[session]?.hello) {
            return settle(.refused(reason: reason), submission, worker: worker, at: now)
        }
        guard let blob = submission.blob else {
            leases[worker]?.progress = .arrived(submission)
            return examineArrived()
        }
        leases[worker]?.progress = .fetching(submission)
        return [.fetch(blob, session)]
    }

    /// What is wrong with a submission before its bytes are seen, or nil.
    private func objection(to submission: Submission, step: Step, hello: Hello?) -> String? {
        let needsBlob = step.yieldsBlob(studentParameters: hello?.studentParameters ?? 0)
        if needsBlob != (submission.blob != nil) { return "the task's result is of the wrong kind" }
        if let width = submission.width, !history.widthsInUse.contains(where: { $0.share == width }) {
            return "the result is of a model of width \(width), which the round has not"
        }
        if let blob = submission.blob, let base = history.snapshot {
            // A dense float32 update is about as large as the snapshot; histograms have their own bound.
            var limit = min(plan.limits.blobBytes, 2 * base.snapshot.byteCount + (8 << 20))
            // Moments grow with the squares of layers' extents, up to a bound of their own.
            switch step {
            case .moments, .inputMoments: limit = min(plan.limits.blobBytes, MessageLimits.momentsBytes)
            default: break
            }
            if case .logits(let request) = step {
                limit = min(plan.limits.blobBytes, 6 * request.samples * request.classes + (1 << 20))
            }
            if blob.byteCount > limit { return "the result declares \(blob.byteCount) bytes, more than \(limit)" }
        }
        let metrics = submission.metrics
        if metrics.samples < 1 { return "the result is weighted by no samples" }
        if let hello {
            let most = max(hello.trainingSamples, hello.testSamples)
            if metrics.samples > most { return "the result is weighted by \(metrics.samples) samples of \(most)" }
            let targets = hello.largestMeasure(lossInUse)
            if step.measuresTests, metrics.measured > targets {
                return "the result measured \(metrics.measured) targets of \(targets)"
            }
        }
        // So that no sum over the fleet overflows.
        guard metrics.lossSum.isFinite, abs(metrics.lossSum) <= 1e100 else { return "the loss is not finite" }
        return nil
    }

    /// Starts to examine what has arrived, as long as the round could take it.
    mutating func examineArrived() -> [CoordinatorAction] {
        guard case .collecting = phase, let open = history.openRound else { return [] }
        var room = wanted - open.accepted.count - leases.values.reduce(0) { $0 + ($1.isExamining ? 1 : 0) }
        var actions: [CoordinatorAction] = []
        for (worker, lease) in leases.sorted(by: { $0.key < $1.key }) where room > 0 {
            guard case .arrived(let submission) = lease.progress, staleness(of: lease.round) != nil else { continue }
            room -= 1
            leases[worker]?.progress = .examining(submission)
            actions.append(.examine(facts(submission, worker: worker, countedIn: open.number)))
        }
        return actions
    }

    /// Samples, bounded so that no fold over the fleet can overflow (the codec's limit is 2^24 in total), and in
    /// asynchronous rounds divided by sqrt(1 + staleness) (FedBuff, section 3: s(tau) = 1 / sqrt(1 + tau)).
    private func facts(_ submission: Submission, worker: String, countedIn: Int) -> ContributionFacts {
        guard let step = history.step, let stale = staleness(of: submission.round) else {
            preconditionFailure("a contribution of round \(submission.round) does not count now")
        }
        let bound = max(1, (1 << 24) / max(1, wanted))
        let base = history.snapshots[history.roundBases[submission.round].version].snapshot.digest
        guard isAsynchronous(step) else {
            let weight = UInt32(min(submission.metrics.samples, bound))
            return ContributionFacts(
                round: submission.round, worker: worker, submission: submission, base: base, weight: weight)
        }
        // Sixteenths of a sample, so that small shards keep the ratio.
        let full = UInt32(min(submission.metrics.samples * 16, bound))
        let weight = max(1, UInt32((Double(full) / Double(1 + stale).squareRoot()).rounded()))
        return ContributionFacts(
            round: submission.round, worker: worker, submission: submission, base: base, countedIn: countedIn,
            weight: weight, fullWeight: full)
    }

    // MARK: Blobs

    /// Results that are on their way to the ledger.
    public var blobsInFlight: Set<Digest> { Set(leases.values.compactMap { $0.submission?.blob?.digest }) }

    mutating func onBlobArrived(_ digest: Digest, session: SessionID, at now: Double) -> [CoordinatorAction] {
        guard let worker = sessions[session]?.worker, case .fetching(let submission)? = leases[worker]?.progress,
            submission.blob?.digest == digest
        else { return [] }
        sessions[session]?.lastSeenAt = now
        leases[worker]?.progress = .arrived(submission)
        leases[worker]?.arrivedAt = now
        lastProgressAt = now
        return examineArrived()
    }

    mutating func onBlobProgressed(
        _ digest: Digest, received: Int, session: SessionID, at now: Double
    ) -> [CoordinatorAction] {
        guard let worker = sessions[session]?.worker, case .fetching(let submission)? = leases[worker]?.progress,
            submission.blob?.digest == digest, transferFailures[worker, default: 0] < Self.transferAttempts
        else { return [] }
        sessions[session]?.lastSeenAt = now
        leases[worker]?.renewedAt = now
        leases[worker]?.receivedBytes = received
        lastProgressAt = now
        return []
    }

    mutating func onBlobFailed(
        _ digest: Digest, session: SessionID, _ fault: BlobFault, at now: Double
    ) -> [CoordinatorAction] {
        guard let worker = sessions[session]?.worker, case .fetching(let submission)? = leases[worker]?.progress,
            submission.blob?.digest == digest
        else { return [] }
        // A broken transfer says nothing about the contribution: a worker that died or lost its connection submits again
        // when it is back. Wrong bytes do.
        let failures = transferFailures[worker, default: 0] + 1
        guard case .broken = fault, failures <= Self.transferAttempts else {
            let reason = "its bytes could not be fetched: \(fault.reason)"
            return settle(.refused(reason: reason), submission, worker: worker, at: now)
        }
        transferFailures[worker] = failures
        leases[worker]?.progress = .working
        return [
            .log(
                LogEvent(
                    "diagnostic", level: .warning,
                    [
                        "worker": .string(worker),
                        "message": .string("its result could not be fetched: \(fault.reason)"),
                    ]))
        ]
    }

    private static var transferAttempts: Int { 20 }

    // MARK: Verdicts

    mutating func onExamined(_ examination: Examination, round: Int, worker: String, at now: Double)
        -> [CoordinatorAction]
    {
        guard case .collecting = phase, let lease = leases[worker], lease.round == round,
            case .examining(let submission) = lease.progress
        else { return [] }
        return settle(examination, submission, worker: worker, at: now)
    }

    /// Records what became of a submission and tells its worker.
    private mutating func settle(
        _ examination: Examination, _ submission: Submission, worker: String, at now: Double
    ) -> [CoordinatorAction] {
        guard let lease = leases.removeValue(forKey: worker) else { return [] }
        let round = submission.round
        lastProgressAt = now
        var actions: [CoordinatorAction]
        switch examination {
        case .folded:
            guard let open = history.openRound else { preconditionFailure("a fold without an open round") }
            let facts = facts(submission, worker: worker, countedIn: open.number)
            actions = [
                commit([.contributionAccepted(facts)]),
                .send(.verdict(round: round, accepted: true, reason: ""), lease.session),
                .log(accepted(facts, lease: lease, at: now)),
            ]
        case .refused(let reason):
            setbacks[worker, default: Setback()].happened(reason, at: now)
            actions = [
                commit([.contributionRefused(round: round, worker: worker, reason: reason)]),
                .send(.verdict(round: round, accepted: false, reason: reason), lease.session),
                .log(refused(reason, round: round, worker: worker)),
            ]
        }
        return actions + closeIfComplete(at: now) + examineArrived()
    }

    mutating func onDecline(round: Int, reason: String, worker: String, at now: Double) -> [CoordinatorAction] {
        guard let lease = leases[worker], lease.round == round, case .working = lease.progress else { return [] }
        leases[worker] = nil
        setbacks[worker, default: Setback()].happened("declined: \(reason)", at: now)
        var actions: [CoordinatorAction] = [
            commit([.contributionRefused(round: round, worker: worker, reason: "declined: \(reason)")]),
            .log(refused("declined: \(reason)", round: round, worker: worker)),
        ]
        actions += closeIfComplete(at: now)
        return actions + assignTasks(at: now)
    }
}

extension Hello {
    /// Targets that a test shard can have: one a sample where images have classes, else one for each of a sample's elements
    /// or outputs.
    fileprivate func largestMeasure(_ loss: LossKind?) -> Int {
        if sampleShape.count > 1, loss == nil || loss == .crossEntropy { return testSamples }
        let elements = sampleShape.reduce(1) { product, extent in
            let (next, overflow) = product.multipliedReportingOverflow(by: max(1, extent))
            return overflow ? Int.max : next
        }
        let (most, overflow) = testSamples.multipliedReportingOverflow(by: max(elements, classes, 1))
        return overflow ? Int.max : most
    }
}
