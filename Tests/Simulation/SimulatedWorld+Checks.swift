import Federation

// The invariants that concern more than one record or message.

extension SimulatedWorld {
    /// The ledger replays to the history that the live machine has.
    /// - Parameter isAtRest: whether everything the machine decided has been performed; a process that dies may have
    ///   decided more than it wrote.
    func checkReplay(isAtRest: Bool) {
        guard broken == nil || broken == .losesLastRecord else { return }
        let replayed = RunHistory(plan: plan, records: coordinator.records)
        let live = coordinator.machine.history
        if isAtRest, let difference = replayed.difference(from: live) {
            violate("the ledger replays to another \(difference) than the machine's")
        }
        if replayed.snapshot.map(\.snapshot.digest.content) != mirror.snapshots.last, broken == nil {
            violate("the ledger's last snapshot is not the one that was committed")
        }
    }

    /// Every blob that a resumed run needs is there.
    func checkBlobs(of history: RunHistory) {
        // Deltas and snapshots of the past may be needed by workers; losing one costs a transfer, never the run.
        for digest in [history.snapshot?.snapshot.digest, history.snapshot?.graph.digest].compactMap({ $0 })
        where !coordinator.disk.contains(digest) {
            violate("the current snapshot \(digest.short) is gone from the coordinator's store")
        }
        for facts in history.openRound?.accepted ?? [] {
            guard let digest = facts.submission.blob?.digest, !coordinator.disk.contains(digest) else { continue }
            violate("the accepted result of \(facts.worker) is gone from the coordinator's store")
        }
    }

    /// At most one step is in progress, on the contributions that the ledger has.
    func checkComputation(_ computation: StepComputation) {
        let isBusy = coordinator.jobs.contains {
            switch $0 {
            case .compute, .export: true
            case .openFold, .examine: false
            }
        }
        if isBusy { violate("a step begins while another is computed") }
        guard case .fold(_, let round, let contributions, _) = computation else { return }
        let sum = contributions.reduce(UInt64(0)) {
            $0 &+ SimulatedNumerics.share(of: $1, worker: peerOfName[$1.worker] ?? -1)
        }
        guard round == mirror.openRound, contributions.count == mirror.openCount, sum == mirror.openSum else {
            return violate("round \(round) closes with other contributions than were accepted")
        }
    }

    /// Somebody who reads the log knows at least every ten seconds why the open round is open; asked after each tick.
    func checkWaiting() {
        let time = coordinator.clock.local(now)
        guard coordinator.isUp, mirror.openRound != nil, !coordinator.isComputing else {
            coordinator.lastWordAt = time
            return
        }
        let silence = time - coordinator.lastWordAt
        if silence >= 10 { violate("round \(mirror.openRound ?? -1) has been open silently for \(silence) s") }
    }

    /// What a worker remembers follows from what the ledger accepted.
    func checkMemory(of worker: WorkerProcess) {
        guard worker.memory.run != nil, worker.memory.pending == nil else { return }
        let expected = mirror.residuals[worker.index]
        guard (worker.memory.residual?.content ?? 0) != expected else { return }
        violate("\(worker.name) has settled on another residual than its accepted contributions imply")
    }
}

extension RunHistory {
    /// Names the first part in which two histories differ, or nil.
    func difference(from other: RunHistory) -> String? {
        if run != other.run || model != other.model || teachers != other.teachers { return "run" }
        if snapshots != other.snapshots { return "list of snapshots" }
        if stageIndex != other.stageIndex || step != other.step || stageSnapshots != other.stageSnapshots {
            return "stage"
        }
        if nestings != other.nestings || widthsInUse != other.widthsInUse { return "list of widths" }
        if openRound != other.openRound || roundBases != other.roundBases { return "open round" }
        if roundsClosed != other.roundsClosed || acceptedRounds != other.acceptedRounds { return "list of rounds" }
        if summaries != other.summaries || traffic != other.traffic || seconds != other.seconds { return "summary" }
        if compact != other.compact || accuracy != other.accuracy { return "compact model" }
        if quantization != other.quantization || evidence != other.evidence { return "quantization" }
        return export != other.export || isFinished != other.isFinished ? "end" : nil
    }
}
