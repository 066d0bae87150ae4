/// What peers do against the protocol: counted each time, told in bundles.
extension ServerLoop {
    func report(_ violation: ProtocolViolation, by peer: PeerID) {
        cell.update { $0.violations += 1 }
        // One that is not admitted has nothing to remember it by; the limit on peers bounds how often that happens.
        guard peers[peer.routingID]?.id == peer else {
            return queue.push(.violation(peer, violation.reason, count: 1))
        }
        peers[peer.routingID]?.violations.note(violation.reason)
        tellViolations(of: peer, at: exchange.now)
    }

    /// Tells what has come together since the last telling.
    func tellViolations(at now: Double) {
        let due = offenders
        offenders = []
        for peer in due { tellViolations(of: peer, at: now) }
    }

    private func tellViolations(of peer: PeerID, at now: Double) {
        guard var known = peers[peer.routingID], known.id == peer else { return }
        if let (reason, count) = known.violations.due(at: now, every: limits.violationReportSeconds) {
            queue.push(.violation(peer, reason, count: count))
        }
        peers[peer.routingID] = known
        if known.violations.isOpen, !offenders.contains(peer) { offenders.append(peer) }
    }

    /// A control message or a request is worth a token; beyond its allowance the peer is not heard.
    func checkBudget(_ header: Header, of peer: PeerID) throws(ProtocolViolation) {
        switch header {
        case .control, .request: break
        default: return
        }
        guard var known = peers[peer.routingID] else { return }
        let isWithin = known.budget.spend(limits, at: exchange.now)
        peers[peer.routingID] = known
        guard isWithin else { throw ProtocolViolation("more than \(limits.messagesPerSecond) messages per second") }
    }
}
