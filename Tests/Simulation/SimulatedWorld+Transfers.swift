import Federation
import Tensors

/// A blob on its way, in a few steps.
struct Transfer {
    let isUp: Bool
    let peer: Int
    let blob: BlobReference
    /// Of the receiving process.
    let life: Int
    /// Uploads end with their connection; downloads go on with the next one.
    let connection: UInt64
    var offset: Int
    var silentSince: Double?
}

extension SimulatedWorld {
    private static var steps: Int { 3 }

    func fetchUp(_ blob: BlobReference, from peer: Int, connection: UInt64) {
        if coordinator.disk.contains(blob.digest) {
            // Here already, verified: a retry needs no second transfer.
            return schedule(transferArrived(blob.digest, connection), in: 0.001)
        }
        let isRunning = transfers.values.contains { $0.isUp && $0.connection == connection && $0.blob == blob }
        if !isRunning { begin(blob, isUp: true, peer, connection, life: coordinator.life, coordinator.disk) }
    }

    func fetchDown(_ blob: BlobReference, to worker: WorkerProcess) {
        let isRunning = transfers.values.contains {
            !$0.isUp && $0.peer == worker.index && $0.life == worker.life && $0.blob == blob
        }
        if !isRunning {
            begin(blob, isUp: false, worker.index, links[worker.index].connection, life: worker.life, worker.disk)
        }
    }

    private func begin(
        _ blob: BlobReference, isUp: Bool, _ peer: Int, _ connection: UInt64, life: Int, _ disk: SimulatedDisk
    ) {
        let offset = min(disk.received(blob.digest), blob.byteCount)
        if offset > 0 { note(.transferResumed) }
        transfers[nextTransfer] = Transfer(
            isUp: isUp, peer: peer, blob: blob, life: life, connection: connection, offset: offset)
        schedule(.transfer(nextTransfer), in: links[peer].delay * 2)
        nextTransfer += 1
    }

    func stepTransfer(_ id: Int) {
        guard var transfer = transfers.removeValue(forKey: id) else { return }
        let link = links[transfer.peer]
        let isAlive =
            transfer.isUp
            ? coordinator.isUp && coordinator.life == transfer.life : workers[transfer.peer].life == transfer.life
        guard isAlive else { return }
        let isConnected = transfer.isUp ? link.connection == transfer.connection : link.connection != 0
        if transfer.isUp, !isConnected { return fail(transfer, isWrong: false) }
        let isHeld =
            transfer.isUp && transfer.peer >= workers.count && hostile[transfer.peer - workers.count].sendsNoBlobs
        if !isConnected || isHeld || max(link.upBlockedUntil, link.downBlockedUntil) > now {
            if isHeld { note(.hostileSilence) }
            let since = transfer.silentSince ?? now
            if now - since > 10, isConnected { return fail(transfer, isWrong: false) }
            transfer.silentSince = since
            return again(id, transfer, in: 0.5)
        }
        transfer.silentSince = nil
        guard isOffered(transfer) else { return fail(transfer, isWrong: true) }
        if !isCalm, random.chance(scenario.rates.transferBreak) {
            note(.transferBroken)
            return fail(transfer, isWrong: false)
        }
        if isFullDisk(transfer) { return }
        let part = max(1, min(transfer.blob.byteCount - transfer.offset, transfer.blob.byteCount / Self.steps + 1))
        if transfer.offset < transfer.blob.byteCount {
            transfer.offset += part
            keep(transfer)
            progressed(transfer)
            return again(id, transfer, in: Double(part) / link.bytesPerSecond)
        }
        finish(transfer)
    }

    private func again(_ id: Int, _ transfer: Transfer, in delay: Double) {
        transfers[id] = transfer
        schedule(.transfer(id), in: delay)
    }

    /// Whether the sender has the blob, and lets the receiver have it.
    private func isOffered(_ transfer: Transfer) -> Bool {
        guard transfer.isUp else { return coordinator.shares(transfer.blob.digest) }
        if transfer.peer >= workers.count { return true }
        return workers[transfer.peer].disk.contains(transfer.blob.digest)
    }

    private func isFullDisk(_ transfer: Transfer) -> Bool {
        if transfer.isUp {
            guard coordinator.disk.isFull(at: now) else { return false }
            note(.fullDiskAtArrival)
            schedule(.coordinatorEvent(.failed(reason: "no space", .diskFull), life: transfer.life), in: 0)
            return true
        }
        guard workers[transfer.peer].disk.isFull(at: now) else { return false }
        note(.fullDiskAtFetch)
        fail(transfer, isWrong: false)
        return true
    }

    private func keep(_ transfer: Transfer) {
        if transfer.isUp {
            coordinator.disk.receive(transfer.blob.digest, upTo: transfer.offset)
        } else {
            workers[transfer.peer].disk.receive(transfer.blob.digest, upTo: transfer.offset)
        }
    }

    private func finish(_ transfer: Transfer) {
        let digest = transfer.blob.digest
        var isRight = isCalm || !random.chance(scenario.rates.wrongBytes)
        // Someone hostile may declare a size and a name that fit nothing it has.
        if transfer.isUp, transfer.peer >= workers.count, results[digest] == nil { isRight = false }
        if !isRight { note(.wrongBytes) }
        if broken == .trustsAnyBytes, !isRight {
            coordinatorReceives(digest, isRight: isRight, transfer)
        } else if transfer.isUp {
            coordinatorReceives(digest, isRight: coordinator.disk.finish(digest, bytesAreRight: isRight), transfer)
        } else {
            let arrived = workers[transfer.peer].disk.finish(digest, bytesAreRight: isRight)
            let event = arrived ? WorkerEvent.blobArrived(digest) : .blobFailed(digest, reason: "wrong bytes")
            schedule(.workerEvent(event, worker: transfer.peer, life: transfer.life), in: 0.001)
        }
    }

    private func coordinatorReceives(_ digest: Digest, isRight: Bool, _ transfer: Transfer) {
        if isRight { return schedule(transferArrived(digest, transfer.connection), in: 0.001) }
        guard broken == .trustsAnyBytes else { return fail(transfer, isWrong: true) }
        coordinator.disk.put(digest)
        coordinator.disk.corrupt(digest)
        schedule(transferArrived(digest, transfer.connection), in: 0.001)
    }

    private func fail(_ transfer: Transfer, isWrong: Bool) {
        tell("transfer of \(transfer.blob.digest.short) with \(name(transfer.peer)) fails")
        if transfer.isUp {
            guard let event = uploadFailed(transfer, isWrong: isWrong) else { return }
            return schedule(.coordinatorEvent(event, life: transfer.life), in: 0.001)
        }
        let event = WorkerEvent.blobFailed(transfer.blob.digest, reason: "simulated")
        schedule(.workerEvent(event, worker: transfer.peer, life: transfer.life), in: 0.001)
    }
}
