import Federation
import Ledger
import Monitor
import Transport

// What the machine asks for, done.

extension CoordinatorService {
    /// Does one action; returns the outcome when the machine is done.
    func perform(_ action: CoordinatorAction) -> CoordinatorOutcome? {
        switch action {
        case .commit(let records):
            do {
                try state.ledger.append(records)
                shared.publish(machine.history)
                try tidy(after: records)
            } catch {
                // Without the ledger nothing may be promised: stop here; the folder resumes from its last record.
                sink(LogEvent("run.failed", level: .error, ["reason": .string("\(error)")]))
                return CoordinatorOutcome(succeeded: false, reason: "\(error)", failure: RunFailure(error))
            }
        case .send(let message, let session):
            if let peer = peers.peer(of: session) { server.send(message.encoded(), to: peer) }
        case .fetch(let blob, let session):
            fetched.insert(blob.digest)
            if let peer = peers.peer(of: session) {
                server.fetch(digest: blob.digest.bytes, byteCount: blob.byteCount, from: peer)
            } else {
                feed.yield(.event(.departed(session: session)))
            }
        case .openFold(let rule, _, let base, let restoring, let widths):
            numerics.openFold(rule, base: base, restoring: restoring, widths: widths)
        case .examine(let facts): numerics.examine(facts)
        case .compute(let computation): numerics.compute(computation)
        case .export: numerics.export(machine.history)
        case .log(var event):
            if event.name == EventName.roundClosed {
                event.fields.append(("residentBytes", .int(ProcessMemory.residentBytes)))
            }
            sink(event)
        case .finish(let succeeded, let reason, let failure):
            return finish(succeeded: succeeded, reason: reason, failure: failure)
        }
        return nil
    }

    /// Removes blobs that the committed records made obsolete; the ledger no longer names them.
    private func tidy(after records: [LedgerRecord]) throws {
        for record in records {
            if case .contributionAccepted(let facts) = record { openContributions.append(facts) }
            guard case .stepFinished = record else { continue }
            // Equal results have one blob: another worker's may still wait for its examination.
            for digest in machine.history.blobsMadeObsolete(by: record, contributions: openContributions)
            where !machine.blobsInFlight.contains(digest) {
                try state.blobs.remove(digest)
            }
            openContributions = []
            try removeStrays()
        }
    }

    /// Removes what workers sent in vain: refused results and those that came too late.
    private func removeStrays() throws {
        let needed = machine.history.namedBlobs.union(machine.blobsInFlight)
        for digest in fetched.subtracting(needed) { try state.blobs.discard(digest) }
        fetched.formIntersection(needed)
    }

    private func finish(succeeded: Bool, reason: String, failure: RunFailure?) -> CoordinatorOutcome {
        guard succeeded else { return CoordinatorOutcome(succeeded: false, reason: reason, failure: failure) }
        let report = Report(ofFinished: machine.history, directory: options.state)
        sink(report.finishedEvent)
        return CoordinatorOutcome(succeeded: true, reason: reason, report: report)
    }
}
