import Federation
import Monitor
import Transport

// What arrives, as events of the machine.

extension CoordinatorService {
    /// Translates what arrived into machine events.
    func events(of input: ShellInput) -> [CoordinatorEvent] {
        switch input {
        case .event(let event): return [event]
        case .computed(let step):
            let counters = server.counters
            return [.stepComputed(step, wireBytesUp: counters.bytesReceived, wireBytesDown: counters.bytesSent)]
        case .transport(let event): return transportEvents(event)
        }
    }

    private func transportEvents(_ event: ServerEvent) -> [CoordinatorEvent] {
        switch event {
        case .message(let peer, let bytes):
            guard let worker = peer.name else { return [] }
            let session = peers.begin(peer)
            do {
                return [.received(try WorkerMessage(decoding: bytes), session: session, worker: worker)]
            } catch {
                return [.malformed(reason: "\(error)", session: session, worker: worker)]
            }
        case .departed(let peer): return peers.end(peer).map { [.departed(session: $0)] } ?? []
        case .blobArrived(let peer, let digest):
            guard let digest = Digest(bytes: digest), let session = peers.session(of: peer) else { return [] }
            logTransfer(digest, bytes: try? state.blobs.size(of: digest), direction: "up", of: peer)
            return [.blobArrived(digest, session: session)]
        case .blobProgress(let peer, let digest, let received, _):
            guard let digest = Digest(bytes: digest), let session = peers.session(of: peer) else { return [] }
            return [.blobProgressed(digest, session: session, received: received)]
        // Our own disk's failure is no worker's: the run stops, and goes on from here once it is mended.
        case .blobFailed(_, _, .storage(let reason, let isDiskFull)):
            return [.failed(reason: reason, isDiskFull ? .diskFull : .corruptState)]
        case .blobFailed(let peer, let digest, let failure):
            guard let digest = Digest(bytes: digest), let session = peers.session(of: peer) else { return [] }
            return [.blobFailed(digest, session: session, BlobFault(failure))]
        case .turnedAway(let key, let address, let reason):
            sink(
                LogEvent(
                    "worker.refused", level: .warning,
                    [
                        "key": .string(key), "address": .string(address),
                        "reason": .string(reason.advice(key: key, options)),
                    ]))
            return []
        case .violation(let peer, let what, let count):
            let message = count == 1 ? what : "\(what) (\(count) violations since the last that was told)"
            sink(
                LogEvent(
                    "diagnostic", level: .warning,
                    ["worker": .string(peer.name ?? "unknown"), "message": .string(message)]))
            return []
        // A peer that does not read loses its messages; its lease runs out by itself. The run is not its to end.
        case .failed(.unsentMessages(let count, _)):
            sink(
                LogEvent(
                    "diagnostic", level: .warning, ["message": .string("\(count) messages to a peer were dropped")]))
            return []
        case .failed(let error): return [.failed(reason: "\(error)", .network)]
        case .blobSent(let peer, let digest, let bytes):
            if let digest = Digest(bytes: digest) { logTransfer(digest, bytes: bytes, direction: "down", of: peer) }
            return []
        }
    }

    private func logTransfer(_ digest: Digest, bytes: Int?, direction: String, of peer: PeerID) {
        guard let bytes else { return }
        var event = LogEvent(
            EventName.transferFinished, level: .debug,
            ["digest": .string(digest.hex), "bytes": .int(bytes), "direction": .string(direction)])
        if let worker = peer.name { event.fields.append(("worker", .string(worker))) }
        sink(event)
    }
}
