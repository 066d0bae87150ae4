import Federation

// The simulated shells: what the coordinator and workers do with their machines' actions, and how they die.

extension SimulatedFederation {
    func toCoordinator(_ event: CoordinatorEvent) {
        for action in coordinator.receive(event, at: now) { perform(action) }
    }

    func toWorker(_ event: WorkerEvent, _ worker: Int) {
        for action in workers[worker].machine.receive(event, at: now) { perform(action, worker) }
    }

    private var delay: Double { 0.001 + 0.05 * Double(random.uniform()) }

    private func perform(_ action: CoordinatorAction) {
        switch action {
        case .commit(let new): records += new
        case .send(let message, let session):
            if let worker = sessions[session] {
                // One constant delay per direction keeps the order on a connection.
                schedule(.toWorker(message, worker: worker, connection: session.value), in: 0.02)
            }
        case .fetch(let blob, let session):
            if let worker = sessions[session] {
                schedule(.coordinatorBlob(blob.digest, worker: worker, connection: session.value), in: delay)
            }
        case .openFold, .log: break
        case .examine(let facts):
            let event = CoordinatorEvent.examined(.folded, round: facts.round, worker: facts.worker)
            schedule(.coordinatorEvent(event, life: coordinatorLife), in: delay)
        case .compute(let computation):
            let event = CoordinatorEvent.stepComputed(compute(computation), wireBytesUp: 0, wireBytesDown: 0)
            schedule(.coordinatorEvent(event, life: coordinatorLife), in: delay)
        case .export:
            let facts = ExportFacts(target: "float32", path: "compact.onnx", byteCount: 1)
            schedule(.coordinatorEvent(.exported(facts), life: coordinatorLife), in: delay)
        case .finish(let success, _, _):
            ended = true
            succeeded = success
        }
    }

    /// Stands for the fold: depends on the set of contributions and the base, never on order.
    private func compute(_ computation: StepComputation) -> ComputedStep {
        switch computation {
        case .transform(let step, let base):
            return ComputedStep(outcome: StepOutcome(), snapshot: next(base, "\(step)"))
        case .fold(let rule, let round, let contributions, let base):
            let names = contributions.map { "\($0.worker):\($0.submission.blob?.digest.hex ?? "-")" }.sorted()
            switch rule {
            case .average, .maskByScores:
                return ComputedStep(
                    outcome: StepOutcome(), snapshot: next(base, "\(round)" + names.joined(separator: ",")))
            case .calibration, .metrics: return ComputedStep(outcome: StepOutcome(accuracy: 0.5))
            }
        }
    }

    private func next(_ base: SnapshotFacts, _ cause: String) -> SnapshotFacts {
        let digest = Digest.simulated(base.snapshot.digest.hex + cause)
        let delta = DeltaReference(
            blob: BlobReference(digest: .simulated("delta" + digest.hex), byteCount: 10), from: base.snapshot.digest,
            to: digest)
        return SnapshotFacts(
            version: base.version + 1, snapshot: BlobReference(digest: digest, byteCount: 1000), graph: base.graph,
            maskEpoch: base.maskEpoch, sparsity: base.sparsity, delta: delta)
    }

    private func perform(_ action: WorkerAction, _ worker: Int) {
        let life = workers[worker].life
        switch action {
        case .remember(let memory): workers[worker].memory = memory
        case .send(let message):
            schedule(.toCoordinator(message, worker: worker, connection: workers[worker].connection), in: 0.02)
        case .fetch(let blob): schedule(.workerBlob(blob.digest, worker: worker, life: life), in: delay)
        case .prepare(let offer):
            let missing = missingBlobs(offer, worker)
            if missing.isEmpty {
                workers[worker].held = [offer.snapshot.snapshot.digest]
                let event = WorkerEvent.prepared(round: offer.round, snapshots: workers[worker].held)
                schedule(.workerEvent(event, worker: worker, life: life), in: delay)
            } else {
                let event = WorkerEvent.missing(round: offer.round, blobs: missing)
                schedule(.workerEvent(event, worker: worker, life: life), in: delay)
            }
        case .run(let offer, let residual):
            schedule(.workerEvent(result(offer, residual, worker), worker: worker, life: life), in: 20 * delay)
        case .cancel, .log: break
        case .finish: workers[worker].isConnected = false
        }
    }

    private func missingBlobs(_ offer: TaskOffer, _ worker: Int) -> [BlobReference] {
        let reference = offer.snapshot
        if workers[worker].held.contains(reference.snapshot.digest) { return [] }
        if let first = reference.route.first, workers[worker].held.contains(first.from) {
            return reference.route.map(\.blob).filter { !workers[worker].blobs.contains($0.digest) }
        }
        return [reference.snapshot, reference.graph].filter { !workers[worker].blobs.contains($0.digest) }
    }

    private func result(_ offer: TaskOffer, _ residual: Digest?, _ worker: Int) -> WorkerEvent {
        let cause =
            "w\(worker) \(offer.round) \(offer.snapshot.snapshot.digest.hex) \(residual?.hex ?? "none") \(offer.seed)"
        let blob = offer.work.yieldsBlob ? BlobReference(digest: .simulated(cause), byteCount: 100) : nil
        let metrics = TaskMetrics(samples: 10, lossSum: 1, correct: 1, measured: 10)
        let isTraining = if case .train = offer.work { true } else { false }
        return .taskFinished(
            Submission(round: offer.round, blob: blob, metrics: metrics),
            residual: isTraining ? .simulated("residual" + cause) : nil)
    }

    // MARK: Deaths

    func breakConnection(_ worker: Int) {
        workers[worker].connection = 0
        if workers[worker].isConnected {
            workers[worker].isConnected = false
            toWorker(.disconnected(reason: "simulated"), worker)
        }
        schedule(.connect(worker: worker, life: workers[worker].life), in: 0.5)
    }

    func crashWorker(_ worker: Int) {
        crashes += 1
        let memory = workers[worker].memory
        let held = workers[worker].held
        workers[worker].life += 1
        workers[worker].connection = 0
        workers[worker].isConnected = false
        workers[worker].machine = Self.machine(memory, held: held, at: now)
        schedule(.connect(worker: worker, life: workers[worker].life), in: 1)
    }

    func crashCoordinator() {
        guard !ended else { return }
        crashes += 1
        coordinatorLife += 1
        sessions = [:]
        coordinator = CoordinatorMachine(history: RunHistory(plan: plan, records: records))
        schedule(.coordinatorEvent(.started, life: coordinatorLife), in: 0)
        for worker in workers.indices { breakConnection(worker) }
    }
}
