import Federation
import Tensors

/// One peer's way to the coordinator and back.
struct SimulatedLink {
    /// 0 while there is no connection.
    var connection: UInt64 = 0
    /// Nothing gets through in this direction before this time.
    var upBlockedUntil = 0.0
    var downBlockedUntil = 0.0
    /// Whether what is sent into a partition waits for its end instead of being lost.
    var holdsMessages = false
    let delay: Double
    let jitter: Double
    let bytesPerSecond: Double
    /// What arrives on a connection arrives in order, unless reordering is among the faults.
    var lastUp = 0.0
    var lastDown = 0.0

    init(rates: FaultRates, random: inout SeededGenerator) {
        delay = random.between(0.0005, rates.maximumDelay)
        jitter = random.between(0, rates.maximumDelay)
        bytesPerSecond = random.magnitude(200_000, 20_000_000)
    }
}

extension SimulatedWorld {
    // MARK: Messages

    func sendUp(_ bytes: [UInt8], from peer: Int) {
        let connection = links[peer].connection
        guard connection != 0 else { return }
        carry(.toCoordinator(bytes, connection: connection, peer: peer), peer, isUp: true)
    }

    func sendDown(_ bytes: [UInt8], connection: UInt64, to peer: Int) {
        guard links[peer].connection == connection else { return }
        carry(.toWorker(bytes, connection: connection, peer: peer), peer, isUp: false)
    }

    private func carry(_ message: Happening, _ peer: Int, isUp: Bool) {
        var link = links[peer]
        let blockedUntil = isUp ? link.upBlockedUntil : link.downBlockedUntil
        if blockedUntil > now, !link.holdsMessages { return note(.messageLost) }
        let rates = scenario.rates
        if !isCalm, random.chance(rates.loss) { return note(.messageLost) }
        var arrival = max(now, blockedUntil) + link.delay + random.between(0, link.jitter)
        if !isCalm, random.chance(rates.reordering) {
            note(.messageReordered)
            arrival += random.between(0, 4)
        } else {
            arrival = max(arrival, isUp ? link.lastUp : link.lastDown)
            if isUp { link.lastUp = arrival } else { link.lastDown = arrival }
            links[peer] = link
        }
        queue.push(message, at: arrival)
        if !isCalm, random.chance(rates.duplication) {
            note(.messageDuplicated)
            queue.push(message, at: arrival + random.between(0, 8))
        }
    }

    // MARK: Connections

    func connect(_ peer: Int, life: Int) {
        let isHostile = peer >= workers.count
        if !isHostile, workers[peer].life != life || !workers[peer].isUp { return }
        if isHostile, isCalm, !hostile[peer - workers.count].staysWhenCalm { return }
        guard links[peer].connection == 0 else { return }
        let isBlocked = max(links[peer].upBlockedUntil, links[peer].downBlockedUntil) > now
        guard coordinator.isUp, !isBlocked else {
            if !isHostile {
                schedule(.workerEvent(.disconnected(reason: "nobody answers"), worker: peer, life: life), in: 0)
            }
            return schedule(.connect(peer: peer, life: life), in: random.between(0.1, 2))
        }
        links[peer].connection = nextConnection
        links[peer].lastUp = now
        links[peer].lastDown = now
        nextConnection += 1
        tell("\(name(peer)) is connected (\(links[peer].connection))")
        if isHostile { greet(hostile[peer - workers.count]) } else { toWorker(.connected, workers[peer]) }
    }

    /// Ends a connection; each side notices in its own time, and the server perhaps only after the client is back.
    func breakConnection(_ peer: Int) {
        let connection = links[peer].connection
        guard connection != 0 else { return }
        tell("connection \(connection) of \(name(peer)) breaks")
        links[peer].connection = 0
        let isUnnoticed = !isCalm && random.chance(0.3)
        if isUnnoticed { note(.departureUnnoticed) }
        if coordinator.isUp {
            schedule(
                .departed(connection: connection, life: coordinator.life), in: random.between(0, isUnnoticed ? 8 : 0.5))
        }
        let life = peer < workers.count ? workers[peer].life : 0
        schedule(.noticeBreak(peer: peer, life: life), in: random.between(0, 1))
    }

    func noticeBreak(_ peer: Int, life: Int) {
        if peer < workers.count {
            guard workers[peer].life == life, workers[peer].isUp else { return }
            toWorker(.disconnected(reason: "the connection broke"), workers[peer])
        }
        schedule(.connect(peer: peer, life: life), in: random.between(0.05, 1))
    }

    func name(_ peer: Int) -> String {
        peer < workers.count ? workers[peer].name : hostile[peer - workers.count].name
    }

    // MARK: Calm

    /// From here on nothing goes wrong: the network heals, disks have space, hostile workers leave or do no harm.
    func becomeCalm() {
        tell("calm")
        isCalm = true
        coordinator.disk.fullUntil = 0
        for worker in workers { worker.disk.fullUntil = 0 }
        for peer in links.indices {
            links[peer].upBlockedUntil = now
            links[peer].downBlockedUntil = now
        }
        for process in hostile where !process.staysWhenCalm { breakConnection(process.peer) }
    }
}
