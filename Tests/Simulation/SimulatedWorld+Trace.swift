import Federation

// One line for every event and action, for people who follow a failing seed.

extension SimulatedWorld {
    func describe(_ event: CoordinatorEvent) -> String {
        switch event {
        case .received(let message, let session, let worker):
            "\(worker) (session \(session.value)): \(describe(message))"
        case .malformed(let reason, _, let worker): "\(worker): unreadable, \(reason)"
        case .stepComputed(let step, _, _):
            "step computed, \(step.snapshot.map { "snapshot \($0.version)" } ?? "no snapshot")"
        default: "\(event)"
        }
    }

    func describe(_ action: CoordinatorAction) -> String {
        switch action {
        case .commit(let records): "commit " + records.map(describe).joined(separator: ", ")
        case .send(let message, let session): "send to session \(session.value): \(describe(message))"
        case .openFold(_, let round, _, let restoring, _): "open fold of round \(round), restoring \(restoring.count)"
        case .examine(let facts): "examine round \(facts.round) of \(facts.worker)"
        case .compute(.fold(_, let round, let contributions, _)):
            "compute round \(round) from " + contributions.map { "\($0.worker)/\($0.round)" }.joined(separator: " ")
        case .compute(.transform(let step, _, _)): "compute \(step)"
        case .log(let event): "log \(event.name) " + event.fields.map { "\($0.key)=\($0.value)" }.joined(separator: " ")
        default: "\(action)"
        }
    }

    private func describe(_ record: LedgerRecord) -> String {
        switch record {
        case .contributionAccepted(let facts): "accepted \(facts.round)/\(facts.worker) in \(facts.countedIn)"
        case .contributionRefused(let round, let worker, let reason): "refused \(round)/\(worker): \(reason)"
        default: record.kind + (record.round.map { " \($0)" } ?? "")
        }
    }

    private func describe(_ message: WorkerMessage) -> String {
        switch message {
        case .hello: "hello"
        case .inquiry: "inquiry"
        case .ready(let held): "ready, holds \(held.map(\.short))"
        case .submission(let submission): "submission \(submission.round) \(submission.blob?.digest.short ?? "-")"
        default: "\(message)"
        }
    }

    private func describe(_ message: CoordinatorMessage) -> String {
        switch message {
        case .task(let offer):
            "task \(offer.round) \(offer.work.kind) on snapshot \(offer.snapshot.version), accepted \(offer.acceptedRounds)"
        default: "\(message)"
        }
    }

    func describe(_ event: WorkerEvent) -> String {
        switch event {
        case .received(let message): describe(message)
        case .taskFinished(let submission, _, _): "task \(submission.round) finished"
        case .missing(let round, let blobs): "missing for \(round): \(blobs.map(\.digest.short))"
        default: "\(event)"
        }
    }

    func describe(_ action: WorkerAction) -> String {
        switch action {
        case .remember(let memory):
            "remember residual \(memory.residual?.short ?? "-"), pending \(memory.pending.map { String($0.submission.round) } ?? "-")"
        case .send(let message): "send \(describe(message))"
        case .prepare(let offer): "prepare \(offer.round)"
        case .run(let offer, let residual, _): "run \(offer.round) with residual \(residual?.short ?? "-")"
        case .log(let event): "log \(event.name)"
        default: "\(action)"
        }
    }
}
