import Federation
import Tensors

// A worker's shell: feeds events to its machine and performs the actions one by one, and may die between any two.

extension SimulatedWorld {
    // MARK: Life

    func startWorker(_ worker: WorkerProcess) {
        guard !worker.isUp, !worker.isHome else { return }
        worker.life += 1
        worker.isUp = true
        worker.stalledUntil = 0
        worker.clock = SimulatedClock(bornAt: now, random: &random)
        worker.jobs = []
        worker.cancelled = []
        worker.fetchedWhole = []
        worker.machine = WorkerMachine(
            hello: WorkerProcess.hello(worker.samples, strength: worker.strength), memory: worker.memory,
            held: worker.heldFile.filter { worker.disk.contains($0) }, patienceSeconds: random.magnitude(10, 300),
            at: worker.clock.local(now))
        tell("\(worker.name) starts")
        schedule(.connect(peer: worker.index, life: worker.life), in: random.between(0.01, 0.3))
        schedule(.workerTick(worker.index, life: worker.life), in: tickSeconds)
    }

    func killWorker(_ worker: WorkerProcess, losingPower: Bool, restartIn delay: Double) {
        guard worker.isUp else { return }
        tell("\(worker.name) \(losingPower ? "loses power" : "dies")")
        worker.isUp = false
        worker.life += 1
        if losingPower { losePower(worker) }
        breakConnection(worker.index)
        schedule(.startWorker(worker.index), in: delay)
    }

    /// Results, residuals and the memory are synced before anybody hears of them; what was fetched may be damaged.
    private func losePower(_ worker: WorkerProcess) {
        for digest in worker.disk.partialNames {
            note(.tornBlob)
            worker.disk.tear(digest, at: random.integer(0...worker.disk.received(digest)))
        }
        for digest in worker.disk.blobNames where !isMadeHere(digest, worker) && random.chance(0.3) {
            if random.chance(0.5) {
                note(.snapshotLost)
                worker.disk.remove(digest)
            } else {
                note(.snapshotCorrupt)
                worker.disk.corrupt(digest)
            }
        }
    }

    private func isMadeHere(_ digest: Digest, _ worker: WorkerProcess) -> Bool {
        results[digest] != nil || digest == worker.memory.residual || digest == worker.memory.pending?.residual
    }

    func tickWorker(_ worker: WorkerProcess, life: Int) {
        guard worker.life == life else { return }
        schedule(.workerTick(worker.index, life: life), in: tickSeconds / worker.clock.rate)
        toWorker(.ticked, worker)
    }

    func deliverDown(_ bytes: [UInt8], connection: UInt64, peer: Int) {
        guard links[peer].connection == connection else { return }
        let blockedUntil = links[peer].downBlockedUntil
        guard blockedUntil <= now else {
            guard links[peer].holdsMessages else { return note(.messageLost) }
            return queue.push(.toWorker(bytes, connection: connection, peer: peer), at: blockedUntil)
        }
        guard let message = try? CoordinatorMessage(decoding: bytes) else {
            return violate("a coordinator's message does not survive its encoding")
        }
        if peer < workers.count {
            toWorker(.received(message), workers[peer])
        } else {
            hostile[peer - workers.count].hear(message)
        }
    }

    // MARK: Actions

    func toWorker(_ event: WorkerEvent, _ worker: WorkerProcess) {
        guard worker.isUp else { return }
        let actions = worker.machine.receive(event, at: worker.clock.local(now))
        if trace != nil, event != .ticked || !actions.isEmpty { tell("\(worker.name) <- \(describe(event))") }
        let crash = isCalm ? 0 : scenario.rates.crashPerWorkerAction
        for (index, action) in actions.enumerated() {
            if random.chance(crash) {
                note(.workerKilledBetweenActions)
                if index > 0, case .remember = actions[index - 1], case .send = action {
                    note(.killedBetweenMemoryAndSend)
                }
                return killWorker(
                    worker, losingPower: random.chance(scenario.rates.powerLossShare),
                    restartIn: random.between(0.1, 5))
            }
            if trace != nil { tell("\(worker.name) -> \(describe(action))") }
            guard perform(action, worker), outcome.violations.isEmpty else { return }
        }
    }

    /// Does one action; false when the process has ended.
    private func perform(_ action: WorkerAction, _ worker: WorkerProcess) -> Bool {
        switch action {
        case .remember(let memory): return remember(memory, worker)
        case .send(let message):
            if case .submission(let submission) = message, worker.memory.pending?.submission != submission,
                broken != .forgetsMemory
            {
                violate("\(worker.name) submits what it does not remember")
            }
            let bytes = message.encoded()
            overhear(bytes)
            sendUp(bytes, from: worker.index)
        case .fetch(let blob): fetchDown(blob, to: worker)
        case .prepare(let offer):
            worker.cancelled.remove(offer.round)
            begin(.prepare(offer, memory: worker.machine.memory), worker)
        case .run(let offer, let residual, _): begin(.run(offer, residual: residual, stepsLeft: 3), worker)
        case .cancel(let round): worker.cancelled.insert(round)
        case .log(let event): log?(event, worker.name)
        case .finish(let outcome): return finish(outcome, worker)
        }
        return true
    }

    private func remember(_ memory: WorkerMemory, _ worker: WorkerProcess) -> Bool {
        guard !worker.disk.isFull(at: now) else {
            note(.fullDiskAtMemory)
            killWorker(worker, losingPower: false, restartIn: random.between(1, 8))
            return false
        }
        var memory = memory
        if broken == .forgetsMemory, random.chance(0.5) { return true }
        if broken == .advancesResidualEarly { memory.residual = memory.pending?.residual ?? memory.residual }
        worker.memory = memory
        checkMemory(of: worker)
        return true
    }

    private func finish(_ outcome: WorkerOutcome, _ worker: WorkerProcess) -> Bool {
        tell("\(worker.name) ends: \(outcome)")
        worker.isHome = outcome == .runFinished
        switch outcome {
        case .runFinished, .stopped, .diskFull: break
        case .unreachable, .turnedAway: note(.workerGaveUp)
        case .refused, .failed: violate("\(worker.name) ended: \(outcome)")
        }
        killWorker(worker, losingPower: false, restartIn: random.between(0.5, 8))
        return false
    }

    private func overhear(_ bytes: [UInt8]) {
        guard !hostile.isEmpty else { return }
        if overheard.count < 50 { overheard.append(bytes) } else { overheard[random.index(below: 50)] = bytes }
    }

    // MARK: Tasks

    private func begin(_ job: WorkerProcess.Job, _ worker: WorkerProcess) {
        worker.jobs.append(job)
        if worker.jobs.count == 1 { schedule(.taskStep(worker.index, life: worker.life), in: stepSeconds(job, worker)) }
    }

    private func stepSeconds(_ job: WorkerProcess.Job, _ worker: WorkerProcess) -> Double {
        guard case .run = job else { return random.between(0.001, 0.05) }
        return worker.taskSeconds / 3 * random.between(0.5, 1.5)
    }

    /// The task thread goes on: one part of the first job.
    func stepTask(_ worker: WorkerProcess) {
        guard let job = worker.jobs.first else { return }
        let event: WorkerEvent?
        switch job {
        case .prepare(let offer, let memory):
            worker.jobs.removeFirst()
            event = prepare(offer, memory, worker)
        case .run(let offer, let residual, let stepsLeft):
            if worker.cancelled.contains(offer.round) {
                worker.jobs.removeFirst()
                event = nil
            } else if stepsLeft > 1 {
                worker.jobs[0] = .run(offer, residual: residual, stepsLeft: stepsLeft - 1)
                event = .progressed(round: offer.round, fraction: Double(4 - stepsLeft) / 3)
            } else {
                worker.jobs.removeFirst()
                event = run(offer, residual, worker)
            }
        }
        if let event { schedule(.workerEvent(event, worker: worker.index, life: worker.life), in: 0.0005) }
        if let next = worker.jobs.first {
            schedule(.taskStep(worker.index, life: worker.life), in: stepSeconds(next, worker))
        }
    }

    private func prepare(_ offer: TaskOffer, _ memory: WorkerMemory, _ worker: WorkerProcess) -> WorkerEvent {
        let missing = missing(offer, worker)
        if !missing.isEmpty { return .missing(round: offer.round, blobs: missing) }
        guard !worker.disk.isFull(at: now) else { return fullDisk(.fullDiskAtFetch) }
        func opens() -> Bool {
            offer.work.snapshots.allSatisfy { worker.open($0) } && worker.open(offer.snapshot)
                && offer.work.width.map { worker.disk.get($0.change.digest) } ?? true
        }
        if !opens() {
            // What was on this disk is of no use: ask for it anew, or build it from its recipe.
            let missing = self.missing(offer, worker)
            guard missing.isEmpty else { return .missing(round: offer.round, blobs: missing) }
            guard opens() else {
                return .taskFailed(round: offer.round, reason: "nothing is missing and it does not open")
            }
        }
        let needed = (offer.work.snapshots + [offer.snapshot]).map(\.snapshot.digest)
        let held = offer.retain.filter { worker.disk.contains($0) && !needed.contains($0) } + needed
        worker.heldFile = held
        worker.collectGarbage(offer, held: held, memory: memory)
        return .prepared(round: offer.round, snapshots: held)
    }

    private func missing(_ offer: TaskOffer, _ worker: WorkerProcess) -> [BlobReference] {
        var missing = worker.missing(for: offer.snapshot)
        for reference in offer.work.snapshots { missing += worker.missing(for: reference) }
        missing += offer.work.blobs.filter { !worker.disk.contains($0.digest) }
        var seen = Set<Digest>()
        return missing.filter { seen.insert($0.digest).inserted }
    }

    private func run(_ offer: TaskOffer, _ residual: Digest?, _ worker: WorkerProcess) -> WorkerEvent {
        guard worker.open(offer.snapshot) else {
            return .taskFailed(round: offer.round, reason: "the snapshot is damaged")
        }
        var isTraining = false
        if case .train = offer.work { isTraining = true }
        if isTraining, let residual, !worker.disk.get(residual) { violate("the residual of \(worker.name) is gone") }
        if let width = offer.work.width, !worker.disk.get(width.change.digest) {
            return .taskFailed(round: offer.round, reason: "the change that makes the model narrower is damaged")
        }
        guard !worker.disk.isFull(at: now) else { return fullDisk(.fullDiskAtResult) }
        let (content, made) = SimulatedNumerics.result(offer, shard: worker.shard, residual: residual?.content ?? 0)
        let metrics = TaskMetrics(
            samples: worker.samples, lossSum: 1, correct: 1, measured: worker.samples, reach: 1,
            seconds: worker.taskSeconds)
        guard offer.work.yieldsBlob else {
            return .taskFinished(Submission(round: offer.round, blob: nil, metrics: metrics), residual: nil)
        }
        var truth = made
        truth.worker = worker.index
        let blob = SimulatedNumerics.reference(content, SimulatedNumerics.resultBytes)
        results[blob.digest] = truth
        worker.disk.put(blob.digest)
        var next: Digest?
        if truth.nextResidual != 0 {
            next = .simulated(truth.nextResidual)
            worker.disk.put(.simulated(truth.nextResidual))
        }
        let submission = Submission(
            round: offer.round, blob: blob, metrics: metrics, width: offer.work.width?.share)
        return .taskFinished(submission, residual: next)
    }

    private func fullDisk(_ fault: SimulatedFault) -> WorkerEvent {
        note(fault)
        return .diskFull(reason: "no space")
    }
}
