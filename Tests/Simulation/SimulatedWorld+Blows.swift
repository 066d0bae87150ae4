import Federation
import Tensors

// What strikes at random times until the calm.

extension SimulatedWorld {
    func blow() {
        guard !isCalm else { return }
        strike(random.pick(scenario.rates.blows))
        schedule(.blow, in: random.between(0, 2 * scenario.rates.blowSeconds))
    }

    private func strike(_ blow: Blow) {
        let worker = workers[random.index(below: workers.count)]
        let losesPower = random.chance(scenario.rates.powerLossShare)
        switch blow {
        case .breakConnection:
            note(.connectionBroken)
            breakConnection(random.index(below: links.count))
        case .killCoordinator:
            guard coordinator.isUp else { return }
            note(losesPower ? .coordinatorPowerLost : .coordinatorKilled)
            killCoordinator(losingPower: losesPower, restartIn: random.magnitude(0.1, 30))
        case .killWorker:
            guard worker.isUp else { return }
            note(losesPower ? .workerPowerLost : .workerKilled)
            killWorker(worker, losingPower: losesPower, restartIn: random.magnitude(0.1, 30))
        case .partition: partition(.partition, share: random.between(0, 1), up: true, down: true)
        case .asymmetricPartition:
            let isUp = random.chance(0.5)
            partition(.asymmetricPartition, share: random.between(0, 1), up: isUp, down: !isUp)
        case .isolateCoordinator: partition(.coordinatorUnreachable, share: 1, up: true, down: true)
        case .stall: stallSomebody(worker)
        case .fillCoordinatorDisk: coordinator.disk.fullUntil = now + random.between(0.1, 5)
        case .fillWorkerDisk: worker.disk.fullUntil = now + random.between(0.1, 10)
        case .stopCoordinator:
            guard coordinator.isUp else { return }
            note(.coordinatorStopped)
            schedule(.coordinatorEvent(.stopRequested, life: coordinator.life), in: 0)
        case .stopWorker:
            guard worker.isUp else { return }
            note(.workerStopped)
            schedule(.workerEvent(.stopRequested, worker: worker.index, life: worker.life), in: 0)
        }
    }

    private func partition(_ fault: SimulatedFault, share: Double, up: Bool, down: Bool) {
        note(fault)
        let until = now + random.magnitude(0.5, 30)
        tell("\(fault) until \(Int(until * 1000)) ms")
        let isNoticed = random.chance(0.5)
        let holds = random.chance(0.5)
        for peer in links.indices where random.chance(share) || share == 1 {
            if up { links[peer].upBlockedUntil = until }
            if down { links[peer].downBlockedUntil = until }
            links[peer].holdsMessages = holds
            if isNoticed { breakConnection(peer) }
        }
    }

    private func stallSomebody(_ worker: WorkerProcess) {
        note(.stall)
        let until = now + random.magnitude(0.3, 12)
        if random.chance(0.4) {
            tell("the coordinator stalls until \(Int(until * 1000)) ms")
            coordinator.stalledUntil = max(coordinator.stalledUntil, until)
        } else {
            tell("\(worker.name) stalls until \(Int(until * 1000)) ms")
            worker.stalledUntil = max(worker.stalledUntil, until)
        }
    }
}
